"""plant.py KIND IN OUT -- one lie told by a recorded history, of each kind that the checker has to find.
The history is a real one that passes: IN stays, OUT differs in one answer."""
import sys

# Columns of the lines (cluster-tests/history/history_file.h).
TIME, CLIENT, CALL, NODE, PROCESS, JOB, ATTEMPT = range(1, 8)
SHOWN_STATE, SHOWN_REPORT, SHOWN_AGES = 8, slice(9, 16), 16
ACK_NOOP, ACK_REPORT = 8, slice(10, 17)


def order(report):
    """As the protocol orders them."""
    return [int(number) for number in report]


def shown_with_report(row):
    return row[0] == "shown" and row[SHOWN_STATE] != "none"


def lost(rows):
    """I1: what was acknowledged is gone in the read after everything was settled."""
    settled = {(row[CLIENT], row[CALL]) for row in rows if row[0] == "read" and row[5] == "1"}
    acked = {(row[JOB], row[ATTEMPT]) for row in rows if row[0] == "ack"}
    for at in reversed(range(len(rows))):
        row = rows[at]
        if shown_with_report(row) and (row[CLIENT], row[CALL]) in settled and (row[JOB], row[ATTEMPT]) in acked:
            return at, row[:SHOWN_STATE] + ["none"]
    return None


def backwards(rows):
    """I3: a process shows an older report than before, of a register that nobody here publishes to again."""
    first = {}
    calls = {(row[CLIENT], row[CALL]): int(row[TIME]) for row in rows if row[0] == "read"}
    for at, row in enumerate(rows):
        if not shown_with_report(row):
            continue
        key = (row[NODE], row[PROCESS], row[JOB], row[ATTEMPT])
        oldest, newest_at = first.setdefault(key, (row, None))
        if oldest is not row and order(row[SHOWN_REPORT]) > order(oldest[SHOWN_REPORT]):
            if newest_at is not None and newest_at < calls[row[CLIENT], row[CALL]]:
                return at, row[:SHOWN_STATE] + oldest[SHOWN_STATE:SHOWN_AGES]
            first[key] = (oldest, int(row[TIME]))
    return None


def below_token(rows):
    """I4: a report made with a token gets a stamp below what the token had seen."""
    calls = {(row[CLIENT], row[CALL]): row for row in rows if row[0] == "publish" and len(row) > 4}
    for at, row in enumerate(rows):
        if row[0] == "ack" and row[ACK_NOOP] == "0" and (row[CLIENT], row[CALL]) in calls:
            lower = list(row)
            lower[11] = "1"  # the stamp's milliseconds
            return at, lower
    return None


def not_complete(rows):
    """I6: an answer says that it is complete as of now, without what was acknowledged before."""
    acked = {}
    for at, row in enumerate(rows):
        if row[0] == "ack":
            acked.setdefault((row[JOB], row[ATTEMPT]), (row[13], row[NODE]))
        elif row[0] == "shown" and (row[JOB], row[ATTEMPT]) in acked:
            region, node = acked[row[JOB], row[ATTEMPT]]
            fresh = process_is_new(rows, at, row)
            if node != row[NODE] and fresh:
                return at, row[:SHOWN_STATE] + ["none", f"{region}:0"]
    return None


def process_is_new(rows, at, row):
    """Nothing was told by this process about this register: so only I6 can be what is wrong."""
    return not any(other[0] in ("ack", "shown") and other[NODE:SHOWN_STATE] == row[NODE:SHOWN_STATE]
                   for other in rows[:at])


KINDS = {"I1": lost, "I3": backwards, "I4": below_token, "I6": not_complete}


def main(kind, source, target):
    with open(source, encoding="ascii") as file:
        rows = [line.rstrip("\n").split(" ") for line in file]
    found = KINDS[kind](rows)
    if found is None:
        sys.exit(f"plant: no place for {kind} in {source}")
    rows[found[0]] = found[1]
    with open(target, "w", encoding="ascii") as file:
        file.writelines(" ".join(row) + "\n" for row in rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
