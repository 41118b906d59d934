"""check.py TIDINGS DIRECTORY IPC_A IPC_B TCP_A TCP_B -- tests named after what they hold; called by run."""
import json
import os
import subprocess
import sys
import unittest

import nacl.exceptions

import tidings
from tidings import Client, Refused, Token

PROGRAM, DIRECTORY, IPC_A, IPC_B, TCP_A, TCP_B = sys.argv[1:7]
ACK_ALL = 255


def file(name):
    with open(os.path.join(DIRECTORY, name), encoding="ascii") as stream:
        return stream.read().strip()


def ask_program(*arguments):
    """What the product's own command line says, as JSON."""
    out = subprocess.run([PROGRAM, "-n", IPC_A, *arguments, "--json"], stdout=subprocess.PIPE, check=True)
    return json.loads(out.stdout)


class Interop(unittest.TestCase):
    def local(self, url=IPC_A):
        return self.enterContext(Client(url))

    def remote(self, url=TCP_A, name="worker"):
        return self.enterContext(Client(url, key=file(name + ".key"), root=file("root.pub")))

    def refused(self, number, function, *arguments, **options):
        with self.assertRaises(Refused) as caught:
            function(*arguments, **options)
        self.assertEqual(caught.exception.number, number, str(caught.exception))

    def test_keys_are_derived_and_written_as_section_2_says(self):
        for name in ("worker", "reader", "stranger"):
            self.assertEqual(tidings.Identity(file(name + ".key")).public_text(), file(name + ".pub"))

    def test_a_report_over_the_unix_socket_is_read_back_whole(self):
        client = self.local()
        labels = {"zone": "b", "Zone": "a", "é": "ü"}
        result, token = client.publish("local/1", "running", progress=4000, detail="12 of 30 \"tables\"\n",
                                       parent="local/0", labels=labels, writer="w-17", expect_every=60)
        self.assertEqual((result["attempt"], result["rank"], result["noop"]), (1, 0, 0))
        answer, (register,) = client.get("local/1", after=token)
        self.assertEqual((register["job"], register["attempt"], register["client"]), ("local/1", 1, 0))
        self.assertEqual(register["state"], tidings.STATES.index("running"))
        self.assertEqual((register["progress"], register["detail"], register["parent"]),
                         ([4000], "12 of 30 \"tables\"\n", "local/0"))
        self.assertEqual(dict(tidings.groups(register["labels"], 2)), labels)
        self.assertEqual((register["writer"], register["expect_every"]), ("w-17", 60))
        self.assertEqual([register[name] for name in ("region", "start", "random", "seq")], token.seen[3:])
        self.assertEqual(answer.names[register["region"]], "eu-west")
        shown = ask_program("get", "local/1")["job"]
        self.assertEqual((shown["progress"], shown["detail"], shown["labels"]), (0.4, "12 of 30 \"tables\"\n", labels))

    def test_fields_left_out_are_carried_forward(self):
        client = self.local()
        _, token = client.publish("local/2", "running", detail="kept", writer="w")
        client.publish("local/2", "completed", after=token)
        _, (register,) = client.get("local/2")
        self.assertEqual((register["state"], register["detail"]), (5, "kept"))
        self.assertEqual([state for state, _ in tidings.groups(register["times"], 2)], [2, 5])

    def test_refusals_carry_the_numbers_of_section_15(self):
        client = self.local()
        self.refused(102, client.publish, "a\x01b", "running")
        self.refused(105, client.publish, "local/3", "running", detail="d" * 600)
        self.refused(104, client.publish, "local/3", "running", progress=10001)
        _, token = client.publish("local/3", "completed")
        self.refused(301, client.publish, "local/3", "running")
        self.refused(302, client.publish, "local/3", "failed")
        self.refused(301, client.publish, "local/3", "running", after=token)
        client.publish("local/3", "failed", correct=True)
        self.assertTrue(client.publish("local/3", "failed")[0]["noop"])
        self.refused(304, client.get, "local/never")
        self.refused(306, client.get, "local/3", after=Token(vector=[[1, 1, 1, 2**53 - 1], []]), timeout_ms=200)

    def test_a_request_that_breaks_the_form_ends_its_link_and_no_other(self):
        other, client = self.local(), self.local()
        client.send_frame(tidings.REQUEST, b"\x95\xcc\x07\x06\x00\x92\x90\x90\x90")  # 7 in two bytes
        self.refused(120, client.next_response)
        other.publish("local/4", "pending")

    def test_a_remote_client_publishes_through_noise_and_is_named_in_the_delta(self):
        client = self.remote()
        self.assertEqual(client.stream.card["region"], 1)
        _, token = client.publish("acme/1", "completed", ack=ACK_ALL, writer="w-1")
        answer, (register,) = self.remote(TCP_B, "reader").get("acme/1", after=token)
        self.assertEqual((register["state"], answer.names[register["region"]], answer.node),
                         (5, "eu-west", "us-east"))
        self.assertNotEqual(register["client"], 0)

    def test_rights_are_those_of_the_roster(self):
        self.refused(206, self.remote().publish, "elsewhere/1", "running")
        self.refused(206, self.remote(name="reader").publish, "acme/2", "running")

    def test_a_key_outside_the_roster_gets_the_roster_and_no_link(self):
        client = self.remote(name="stranger")
        self.refused(205, client.get, "acme/1")
        roster_bytes, signature = tidings.unpack(client.roster)
        tidings.verify(client.root_sign, b"tidings/roster/1", roster_bytes, signature)

    def test_a_node_of_another_cluster_cannot_answer_the_handshake(self):
        with self.assertRaises((Refused, nacl.exceptions.CryptoError, OSError)):
            Client(TCP_A, key=file("worker.key"), root=file("stranger.pub"))

    def test_tokens_mean_the_same_to_both_programs(self):
        client = self.remote()
        _, token = client.publish("acme/3", "running")
        self.assertEqual(Token.parse(token.text()).text(), token.text())
        theirs = Token.parse(ask_program("get", "acme/3", "--after", token.text())["token"])
        self.assertEqual((theirs.register, theirs.seen), (token.register, token.seen))
        client.get("acme/3", after=theirs)

    def test_a_token_carries_the_order_to_another_node(self):
        _, token = self.remote().publish("acme/4", "running", progress=9000)
        self.remote(TCP_B).publish("acme/4", "running", after=token, progress=9500)
        _, (register,) = self.remote(TCP_B, "reader").get("acme/4")
        self.assertEqual(register["progress"], [9500])

    def follow(self, watcher, place, until):
        jobs = []
        while until not in jobs:
            registers, reset, place, _ = watcher.watch("watched/", place, timeout_ms=10000)
            self.assertFalse(reset)
            jobs += [register["job"] for register in registers]
        return jobs, place

    def test_watch_waits_follows_in_order_and_resumes(self):
        client, watcher = self.local(), self.local(IPC_B)
        registers, _, place, _ = watcher.watch("watched/")
        self.assertEqual(registers, [])
        for n in range(3):
            client.publish(f"watched/{n}", "running")
        jobs, place = self.follow(watcher, place, "watched/2")
        self.assertEqual(jobs, ["watched/0", "watched/1", "watched/2"])
        self.assertEqual(watcher.watch("watched/", place, timeout_ms=100)[0], [])
        client.publish("watched/3", "running")
        self.assertEqual(self.follow(self.local(IPC_B), place, "watched/3")[0], ["watched/3"])

    def test_a_watch_moved_to_another_node_begins_anew_without_what_it_has_seen(self):
        client = self.local()
        client.publish("moved/1", "running", ack=ACK_ALL)
        registers, _, place, has = client.watch("moved/", (0, 0, 0))
        while place[0] >> 63:
            more, _, place, _ = client.watch("moved/", place)
            registers += more
        self.assertEqual([register["job"] for register in registers], ["moved/1"])
        client.publish("moved/2", "running", ack=ACK_ALL)
        there, seen = self.local(IPC_B), []
        registers, reset, place, _ = there.watch("moved/", place, after=Token(vector=has))
        self.assertTrue(reset)
        while True:
            seen += [register["job"] for register in registers]
            if not place[0] >> 63:
                break
            registers, _, place, _ = there.watch("moved/", place)
        self.assertIn("moved/2", seen)

    def test_list_pages_through_everything(self):
        client = self.local()
        updates = [tidings.update(f"page/{n:04d}", "completed") for n in range(2500)]
        results = client.ask(tidings.PUBLISH, [0, updates]).results()
        self.assertEqual({result["error"] for result in results}, {0})
        self.assertEqual(len({register["job"] for register in client.list("page/", ["completed"])}), 2500)
        self.assertEqual(client.list("page/", ["failed"]), [])

    def test_a_cancelled_request_gets_no_answer(self):
        client = self.local()
        number = client.send(tidings.WATCH, [tidings.job_filter("nobody/"), 10, tidings.FROM_NOW, 0, 0])
        client.send(tidings.CANCEL, [number])
        client.publish("nobody/1", "running")  # would have been its answer
        client.ask(tidings.STATUS, [])
        self.assertNotIn(number, client.waiting)

    def test_traffic_goes_through_a_rekey_in_both_directions(self):
        client = self.remote()
        while min(client.stream.ours.cipher.n, client.stream.theirs.cipher.n) <= 2**16 + 10:
            self.assertEqual(client.ping(client.stream.ours.cipher.n), client.stream.ours.cipher.n - 1)
        client.publish("acme/5", "completed")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
