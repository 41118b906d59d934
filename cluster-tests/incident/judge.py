"""judge.py -- what readers saw against what was published when. Knows nothing of any system."""
from collections import defaultdict

from script import REGIONS
from system import is_final


class Judge:
    def __init__(self, plan):
        self.plan = plan
        self.by_job = defaultdict(list)
        for update in plan.updates:
            self.by_job[update.job].append(update)
        self.before_heal, self.unhealed = {}, None
        self.open = {r: set(self.by_job) for r in REGIONS} # jobs whose end this region has not shown yet
        self.healed_at = {r: None for r in REGIONS}
        self.wrong = []                          # (at, region, job, seconds, freshness)
        self.series = {r: [] for r in REGIONS}   # [at, jobs out of date, age of the oldest update not shown]
        self.unanswered, self.all_offered = 0, False
        self.shown = {r: {} for r in REGIONS}

    def mark_heal(self):
        """What was published before the heal has to be shown everywhere after it. Returns the first number
        that does not belong to it."""
        before = [u for u in self.plan.updates if u.offered]
        self.before_heal = {u.job: u.n for u in before}
        self.unhealed = {r: set(self.before_heal) for r in REGIONS}
        return len(before)

    def look(self, region, at, done_at, shown, fresh):
        """One look of the reader of a region, begun `at`; the picture is judged by what was out then."""
        behind, oldest, done = 0, 0.0, []
        for job in self.open[region]:
            updates = self.by_job[job]
            if not updates[0].offered or updates[0].at > at:
                continue
            have = shown.get(job)
            n = have[0] if have else -1
            if n >= updates[-1].n:
                done.append(job)
                continue
            missing = next(u for u in updates if u.n > n)
            if not missing.offered or missing.at > at:
                continue
            behind += 1
            oldest = max(oldest, at - missing.at)
            end = updates[-1]
            if have and end.offered and end.at <= at and not is_final(have[1]):
                self.wrong.append((at, region, job, at - end.at, fresh))
        self.open[region] -= set(done)
        self.series[region].append([round(at, 2), behind, round(oldest, 2), 0.0, 0.0])
        self.shown[region] = shown
        self.heal_progress(region, at, done_at, shown)

    def heal_progress(self, region, at, done_at, shown):
        if self.unhealed is None or self.healed_at[region] is not None:
            return
        self.unhealed[region] = {j for j in self.unhealed[region] if shown.get(j, (-1,))[0] < self.before_heal[j]}
        if not self.unhealed[region]:
            self.healed_at[region] = done_at

    def all_shown(self):
        return not any(self.open.values())

    def fill(self, origins, t0, confirmed):
        """Longest wrong answers, told and untold, and answers that claimed to be complete and were not."""
        longest = {"untold": 0.0, "told": 0.0, "untold_confirmed": 0.0}
        lies, rows = 0, {(r, s[0]): s for r in REGIONS for s in self.series[r]}
        for at, region, job, seconds, fresh in self.wrong:
            end = confirmed.get(self.by_job[job][-1].n)
            told = False
            if fresh is not None and origins.get(job) in fresh:
                until, age = fresh[origins[job]]
                told = age is None or age > self.plan.max_stale
                lies += until is not None and end is not None and until > end
            if not told and end is not None:
                longest["untold_confirmed"] = max(longest["untold_confirmed"], t0 + at - end)
            kind = "told" if told else "untold"
            if job not in self.open[region]: # those never put right are counted apart
                longest[kind] = max(longest[kind], seconds)
            row = rows[(region, round(at, 2))]
            row[4 if told else 3] = round(max(row[4 if told else 3], seconds), 2)
        return longest, lies

    def lost(self, confirmed=None):
        """Updates not shown in some region at the end, with no later one of their job there either."""
        gone = set()
        for region in REGIONS:
            for job in self.open[region]:
                n = self.shown[region].get(job, (-1,))[0]
                gone |= {u.n for u in self.by_job[job] if u.n > n}
        return gone if confirmed is None else gone & set(confirmed)

    def verdict(self, system, t0):
        confirmed = getattr(system, "confirmed", {})
        longest, lies = self.fill(system.origins, t0, confirmed)
        healed = [self.healed_at[r] for r in REGIONS]
        lost = self.lost()
        wrong_now = {j for r in REGIONS for j in self.open[r]}
        return {
            "published": len(self.plan.updates), "jobs": len(self.by_job), "lost": len(lost),
            "lost_confirmed": len(self.lost(confirmed)) if confirmed else None, "jobs_never_right": len(wrong_now),
            "longest_untold": longest["untold"], "longest_told": longest["told"],
            "untold_confirmed": longest["untold_confirmed"], "false_claims": lies,
            "heal_seconds": None if None in healed else max(0.0, max(healed) - self.plan.heal_at),
            "looks": sum(len(s) for s in self.series.values()), "unanswered": self.unanswered,
            "series": self.series,
        }
