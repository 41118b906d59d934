/* events.h -- every event the daemon writes into its log: the one list. Names are part of the interface;
 * docs, man page and the rate limit are made from it, and a test holds the source against it. */
#ifndef TD_DAEMON_EVENTS_H
#define TD_DAEMON_EVENTS_H

/* X(name, what it says) */
#define TD_EVENT_LIST(X)                                                                           \
    X(admitted, "the roster names this node now; it starts again as a member")                     \
    X(backup, "a backup is complete: path, files, bytes")                                          \
    X(backup_failed, "a backup is not complete and must not be used: path, why")                   \
    X(clock_skew, "a region's clock and ours differ: offset_ms is theirs minus ours")              \
    X(clone_suspected, "another process uses this region's key")                                   \
    X(connection_down, "debug: one connection of a region or client ended: why")                   \
    X(connection_up, "debug: one connection of a region or client is there")                       \
    X(credit_exceeded, "a peer sent more than it was granted; the link ended")                     \
    X(digest_agrees, "this region's part agrees with the region's own digest again")               \
    X(digest_doubt, "this region's part differs from its digest after a repair")                   \
    X(drained, "whether another region has everything of ours, and which")                         \
    X(draining, "reports are refused from now on")                                                 \
    X(equivocation, "a region signed two statements that contradict each other")                   \
    X(incarnation, "this node numbers its updates anew: start_number, why")                        \
    X(link_state, "a region's link: state up, late or down, and why")                              \
    X(log_compacted, "old segments of the log became one: inputs, output, bytes_before, bytes_after") \
    X(log_level, "the log level was changed by an operator")                                       \
    X(log_record_refused, "a record of the log is not ours or not valid: position, why")           \
    X(log_recovered, "what the log held at start")                                                 \
    X(log_write_failed, "a group could not be written; nothing of it was acknowledged")            \
    X(no_threads, "the system gave no thread; the process ends")                                   \
    X(publish_resumed, "reports are taken again")                                                  \
    X(publish_stopped, "reports are refused: why")                                                 \
    X(ready, "the node answers: region, number, version, pid")                                     \
    X(recovered, "everything that others hold of this region is back")                             \
    X(recovering, "this node has lost something and asks the others for it")                       \
    X(region_fresh, "a region's part is within freshness.stale again: age_ms")                     \
    X(region_stale, "a region's part is older than freshness.stale: age_ms")                       \
    X(reload_refused, "the new configuration is not valid; the old one stays: why")                \
    X(reloaded, "what the new configuration changed and what needs a restart")                     \
    X(repaired, "registers that a repair changed, and who served them")                            \
    X(request_refused, "a client broke the protocol and was disconnected: why")                    \
    X(rolled_back, "others know more of this region's updates than it does itself")                \
    X(roster, "a newer roster is in force: version, regions")                                      \
    X(roster_file_refused, "the roster file that the configuration names: why")                    \
    X(roster_fork, "two rosters of one version were signed")                                       \
    X(roster_kept_refused, "the roster kept in the data directory: why")                           \
    X(roster_refused, "a peer offered a roster that is not valid: why")                            \
    X(send_failed, "a stored batch could not be sent; the link ended: why")                        \
    X(source_changed, "a region's updates come through another region now: via")                   \
    X(source_tried, "a slow region is taken from another one as well: via, lag_ms; nobody = no more") \
    X(standing, "this node's region is leaving or closed, or its key was replaced: why, and what to do") \
    X(start_failed, "the node cannot start: why, hint")                                            \
    X(started, "the log is replayed: registers")                                                   \
    X(state, "what SIGUSR1 asks for: links, clients, queues")                                      \
    X(stopped, "the end, in order")                                                                \
    X(transfer_done, "what was missed has come: batches, ms")                                      \
    X(transfer_ended, "a transfer was given up: reason")                                           \
    X(update_rejected, "a region's updates were refused: from, why")                               \
    X(updates_lost, "updates of a closed life of a region that nobody has")                        \
    X(waiting_for_roster, "no roster names this node's key yet: key, hint")

#endif
