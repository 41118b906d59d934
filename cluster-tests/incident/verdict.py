"""verdict.py -- the table on the terminal, and what counts as a failure."""

# Wide, and wider where the harness itself was late: the machine may be busy with something else. What
# tidings needs is far less.
HEAL_LIMIT = 10.0      # from the heal until tidings is right everywhere
FAIL_OVER_LIMIT = 10.0 # from the report of a worker until every reader sees it or is told


def wrong_hours(result, plan):
    """The part of the 12 h that it stands for; nothing for what does not stretch with an outage."""
    if result["longest_untold"] < plan.max_stale + 0.5:
        return ""
    minutes = round(result["longest_untold"] * plan.scale / 60)
    return f"{minutes // 60} h {minutes % 60:02d} m"


def wrong_seconds(result):
    return f"{result['longest_untold']:.1f} s"


def wrong_text(result, plan):
    hours = wrong_hours(result, plan)
    return wrong_seconds(result) + (f" = {hours}" if hours else "")


def heal_text(result):
    if result["heal_seconds"] is None:
        return f"never ({result['jobs_never_right']} jobs)"
    return f"{result['heal_seconds']:.1f} s"


def moved_text(result):
    return f"{result['moved']} / {result['moved_jobs']}"


def told_text(result):
    return f"{result['longest_told']:.1f} s" if result["tells"] else "cannot tell"


HEADS = ("SYSTEM", "PUBLISHED", "LOST", "WRONG, UNTOLD", "WRONG, TOLD STALE", "HEAL TO ALL CORRECT", "REPLAYED / JOBS")


def table(results, plan):
    rows = [HEADS]
    for r in results:
        if "error" in r:
            rows.append((r["title"], r["error"]))
        else:
            rows.append((r["title"], str(r["published"]), str(r["lost"]), wrong_text(r, plan), told_text(r),
                         heal_text(r), moved_text(r)))
    widths = [max(len(row[i]) for row in rows if len(row) == len(HEADS)) for i in range(len(HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join(["", *lines, "",
                      "LOST: never shown in some region, nor a later update of its job. WRONG: longest time a reader was shown a finished",
                      "job as pending or running, of those that were put right (in hours: of the 12 h that it stands for). REPLAYED:",
                      "messages that reached the regions after the heal and were published before it / jobs that they were about.", *busy(results), ""])


def busy(results):
    late = max((r["harness_late"] for r in results if "error" not in r), default=0.0)
    return [f"The machine was busy: workers reported up to {late:.1f} s late. Repeat it for figures."] if late > 0.5 else []


def problems(results, plan, check):
    found = []
    for r in results:
        if "error" in r:
            found.append(f"{r['title']}: {r['error']}")
        elif r["tells"]:
            found += tidings_problems(r, plan)
        elif check and (r["lost"] == 0 or r["longest_untold"] < (plan.heal_at - plan.outage_at) / 2):
            found.append(f"{r['title']}: an outage that lost nothing or hid nothing: the harness does not see")
    return found


def tidings_problems(r, plan):
    name = r["title"]
    if r["lost_confirmed"] is None or r["looks"] == 0:
        return [f"{name}: nothing was confirmed or nothing was read"]
    found, slack = [], 4 * r["harness_late"]
    if r["lost_confirmed"]:
        found.append(f"{name}: {r['lost_confirmed']} confirmed updates lost")
    if r["false_claims"]:
        found.append(f"{name}: {r['false_claims']} answers claimed to be complete and were not")
    if r["untold_confirmed"] > plan.max_stale + 0.5: # what no node has confirmed yet, none can know of
        found.append(f"{name}: wrong for {r['untold_confirmed']:.1f} s after the confirmation without saying so")
    if r["longest_untold"] > FAIL_OVER_LIMIT + slack:
        found.append(f"{name}: wrong for {r['longest_untold']:.1f} s, {FAIL_OVER_LIMIT:g} s allowed with fail-over")
    if r["heal_seconds"] is None or r["heal_seconds"] > HEAL_LIMIT + slack:
        found.append(f"{name}: all correct {heal_text(r)} after the heal, {HEAL_LIMIT:g} s allowed")
    if r["refused"]:
        found.append(f"{name}: {len(r['refused'])} updates refused, the first: {r['refused'][0]}")
    return found
