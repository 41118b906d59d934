"""scenario.py -- a scenario file read and checked: what is not known is an error with its line. All that is
left to chance is drawn here or from generators seeded here, so the same file makes the same plan."""
import itertools
import random
import re

import yaml

from cluster import ChaosError, require
from faults import FAULTS

TOP = {"name", "proves", "seed", "topology", "load", "faults", "length", "expect"}
TOPOLOGY = {"regions", "wan", "config", "cut"}
LOAD = {"rate": 300, "batch": 5, "reads": 2, "jobs": 200, "sessions": 4, "ack": 0, "preload_ack": "all",
        "finals": 0.02, "detail_bytes": 0, "nodes": None}
FAULT = {"at", "do", "for", "times", "every"}
EXPECT = {"named", "refused", "longest_gap", "stale", "recover_within", "acknowledged", "violation"}
NAMED = {"node", "log", "counter", "peers", "note", "metric"}


class Place:
    """A value with the line it stands in."""

    def __init__(self, file, node):
        self.file, self.node = file, node
        self.line = node.start_mark.line + 1

    def fail(self, text):
        raise ChaosError(f"{self.file}:{self.line}: {text}")

    def mapping(self, known):
        """{key: Place}; any other key is an error."""
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"expected keys: {', '.join(sorted(known))}")
        found = {}
        for key_node, value in self.node.value:
            key = Place(self.file, key_node)
            name = key_node.value
            if not isinstance(name, str) or name not in known:
                key.fail(f"unknown key {name!r}; known here: {', '.join(sorted(known))}")
            if name in found:
                key.fail(f"{name} is there twice")
            found[name] = Place(self.file, value)
        return found

    def items(self):
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail("expected a list")
        return [Place(self.file, node) for node in self.node.value]

    def text(self):
        if not isinstance(self.node, yaml.ScalarNode):
            self.fail("expected one value")
        return self.node.value

    def number(self, kind=float, least=0.0):
        try:
            value = kind(self.text())
        except ValueError:
            self.fail(f"{self.text()!r} is not a number")
        if value < least:
            self.fail(f"{value} is less than {least}")
        return value

    def seconds(self):
        """(least, most) of 3s, 500ms, 2m, or a range 1s..4s."""
        parts = self.text().split("..")
        if len(parts) > 2:
            self.fail(f"{self.text()!r} is not a time like 3s, 500ms, 2m or 1s..4s")
        values = [self.one_time(part) for part in parts]
        if values[0] > values[-1]:
            self.fail(f"{self.text()!r}: the range is upside down")
        return values[0], values[-1]

    def one_time(self, text):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m)", text)
        if not match:
            self.fail(f"{text!r} is not a time like 3s, 500ms, 2m or 1s..4s")
        return float(match[1]) * {"ms": 0.001, "s": 1.0, "m": 60.0}[match[2]]


class Scenario:
    """name, proves, seed, regions, wan, config, cuts, load, length, faults, expect."""

    def __init__(self, path):
        try:
            with open(path, encoding="utf-8") as file:
                root = yaml.compose(file.read(), Loader=yaml.SafeLoader)
        except OSError as error:
            raise ChaosError(f"{path}: {error.strerror}") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            raise ChaosError(f"{path}:{mark.line + 1 if mark else 1}: {getattr(error, 'problem', error)}") from None
        require(root is not None, f"{path}:1: empty")
        top = Place(path, root).mapping(TOP)
        for key in ("name", "seed", "topology", "length"):
            if key not in top:
                Place(path, root).fail(f"{key} is missing")
        self.path = path
        self.name = top["name"].text()
        self.proves = top["proves"].text() if "proves" in top else ""
        self.seed = top["seed"].number(int)
        self.length = top["length"].seconds()[1]
        self.read_topology(top["topology"])
        self.load = self.read_load(top.get("load"))
        self.steps = [self.read_step(place) for place in top["faults"].items()] if "faults" in top else []
        self.expect = self.read_expect(top.get("expect"))

    def read_topology(self, place):
        keys = place.mapping(TOPOLOGY)
        if ("regions" in keys) == ("wan" in keys):
            place.fail("either regions: [NAME, ...] on loopback or wan: PRESET")
        self.regions = [item.text() for item in keys["regions"].items()] if "regions" in keys else []
        self.wan = keys["wan"].text() if "wan" in keys else None
        self.config = keys["config"].text() if "config" in keys else ""
        self.cuts = [item.text().split() for item in keys["cut"].items()] if "cut" in keys else []

    def read_load(self, place):
        load = dict(LOAD)
        for name, value in (place.mapping(set(LOAD)) if place else {}).items():
            if name == "nodes":
                load[name] = [item.text() for item in value.items()]
            elif name in ("ack", "preload_ack"):
                load[name] = "all" if value.text() == "all" else value.number(int)
            elif name in ("rate", "finals"):
                load[name] = value.number(float)
            else:
                load[name] = value.number(int, 0 if name in ("reads", "detail_bytes") else 1)
        return load

    def read_step(self, place):
        keys = place.mapping(FAULT)
        for key in ("at", "do"):
            if key not in keys:
                place.fail(f"{key} is missing")
        words = keys["do"].text().split()
        if not words or words[0] not in FAULTS:
            keys["do"].fail(f"no fault {words[0] if words else ''!r}; known: {', '.join(FAULTS)}")
        if "for" in keys and FAULTS[words[0]].undo is None:
            keys["for"].fail(f"{words[0]} has nothing to undo")
        return {"place": place, "at": keys["at"].seconds(), "do": words,
                "for": keys["for"].seconds() if "for" in keys else None,
                "times": keys["times"].number(int, 1) if "times" in keys else 1,
                "every": keys["every"].seconds() if "every" in keys else None}

    def read_expect(self, place):
        keys = place.mapping(EXPECT) if place else {}
        expect = {}
        for name, value in keys.items():
            if name == "named":
                expect[name] = [{key: item.text() for key, item in row.mapping(NAMED).items()}
                                for row in value.items()]
            elif name in ("refused", "violation"):
                expect[name] = value.text()
            elif name == "acknowledged":
                expect[name] = value.number(int)
            elif name == "stale":
                keys_of = value.mapping({"region", "at_least"})
                expect[name] = (keys_of["region"].text(), keys_of["at_least"].seconds()[1])
            else:
                expect[name] = value.seconds()[1]
        return expect

    def plan(self, regions):
        """[(second, fault, arguments, seconds or None)] in the order of time: all chance of the faults."""
        rng = random.Random(self.seed)
        plan = []
        for step in self.steps:
            at = rng.uniform(*step["at"])
            for words in self.expand(step, regions, rng):
                duration = rng.uniform(*step["for"]) if step["for"] else None
                plan.append((at, words[0], words[1:], duration))
                at += rng.uniform(*step["every"]) if step["every"] else (duration or 0.0) + 1.0
        return sorted(plan, key=lambda row: row[0])

    def expand(self, step, regions, rng):
        words = step["do"]
        if words[1:] == ["each-pair"]:
            return [[words[0], *pair] for pair in itertools.combinations(regions, 2)] * step["times"]
        if words[1:2] == ["each"]:
            return [[words[0], region, *words[2:]] for region in regions] * step["times"]
        rows = []
        for _ in range(step["times"]):
            row = [words[0]]
            for word in words[1:]:
                free = [region for region in regions if region not in row]
                row.append(rng.choice(free) if word == "any" else word)
            for name in row[1:1 + len(FAULTS[words[0]].regions)]:
                if name not in regions:
                    step["place"].fail(f"no region {name}; there are: {', '.join(regions)}")
            rows.append(row)
        return rows
