"""judge_test.py -- the judge must see a loss, a silent wrong answer and a false claim, and nothing where
there is nothing. Run by cluster-tests/real/incident."""
import unittest
from types import SimpleNamespace

import verdict
from judge import Judge
from script import REGIONS, make_plan


class JudgeTest(unittest.TestCase):
    def setUp(self):
        self.plan = make_plan(1, 2.0, 5.0, 10.0)
        self.judge = Judge(self.plan)
        for update in self.plan.updates:
            update.offered = True
        self.end = self.plan.updates[-1].at + 3
        self.right = {job: (ups[-1].n, ups[-1].state) for job, ups in self.judge.by_job.items()}
        self.job = next(j for j, ups in self.judge.by_job.items() if len(ups) > 2)
        self.old = dict(self.right) | {self.job: (self.judge.by_job[self.job][1].n, "running")}
        self.confirmed = {u.n: u.at for u in self.plan.updates}
        self.origins = dict.fromkeys(self.judge.by_job, "us-east")

    def see(self, shown, until=None, at=None):
        """Every region's reader gets this; until: up to when each region is said to be complete."""
        at = at or self.end
        fresh = until if until is None else {r: (until, at - until) for r in REGIONS}
        for region in REGIONS:
            self.judge.look(region, at, at, shown, fresh)

    def outcome(self):
        system = SimpleNamespace(confirmed=self.confirmed, origins=self.origins)
        row = self.judge.verdict(system, 0.0) | {"title": "x", "refused": [], "harness_late": 0.0}
        return row, verdict.tidings_problems(row, self.plan)

    def test_nothing_wrong_gives_no_problem(self):
        self.judge.mark_heal()
        self.see(self.right, until=self.end)
        row, problems = self.outcome()
        self.assertEqual((row["lost"], row["jobs_never_right"], row["false_claims"]), (0, 0, 0))
        self.assertFalse([p for p in problems if "after the heal" not in p])

    def test_a_confirmed_update_that_never_shows_is_lost(self):
        self.see(self.old)
        row, problems = self.outcome()
        self.assertEqual(row["lost_confirmed"], len(self.judge.by_job[self.job]) - 2)
        self.assertTrue(any("confirmed updates lost" in p for p in problems))

    def test_a_loss_in_one_region_counts(self):
        self.see(self.right)
        self.judge.open["ap-south"].add(self.job)
        self.judge.shown["ap-south"] = self.old
        self.assertGreater(self.outcome()[0]["lost"], 0)

    def test_complete_and_wrong_is_a_false_claim(self):
        self.see(self.old, until=self.end)
        self.see(self.right, until=self.end, at=self.end + 1)
        row, problems = self.outcome()
        self.assertEqual((row["false_claims"], row["lost"]), (3, 0))
        self.assertTrue(any("claimed to be complete" in p for p in problems))

    def test_wrong_and_said_to_be_stale_is_told(self):
        until = self.judge.by_job[self.job][-1].at - 0.1
        self.see(self.old, until=until)
        self.see(self.right, until=self.end, at=self.end + 1)
        row, _ = self.outcome()
        self.assertEqual((row["false_claims"], row["longest_untold"]), (0, 0.0))
        self.assertGreater(row["longest_told"], 0.0)

    def test_without_freshness_wrong_is_untold(self):
        self.see(self.old)
        self.see(self.right, at=self.end + 1)
        row, problems = self.outcome()
        self.assertGreater(row["longest_untold"], self.plan.max_stale)
        self.assertTrue(any("without saying so" in p for p in problems))

    def test_both_sides_get_the_same_sequence(self):
        again = make_plan(1, 2.0, 5.0, 10.0)
        self.assertEqual([u.line() for u in again.updates], [u.line() for u in self.plan.updates])
        self.assertEqual(again.restarts, self.plan.restarts)


if __name__ == "__main__":
    unittest.main()
