#!/usr/bin/env python3
"""Sums what gcov counted for the objects below some folders: lines per file, lines nothing reached.

Usage: coverage.py TOP FOLDER ...    Exit 1 below the aim of 95 % of all lines.
"""
import json
import pathlib
import subprocess
import sys

AIM = 95.0


def counts(top, folders):
    """{file: {line: how often}}; an object that never ran counts with zeroes, from its notes."""
    lines = {}
    for notes in sorted(path for folder in folders for path in pathlib.Path(folder).resolve().rglob("*.gcno")):
        told = subprocess.run(["gcov", "--json-format", "--stdout", notes], cwd=notes.parent, check=True,
                              capture_output=True).stdout
        for text in told.splitlines():
            unit = json.loads(text)
            for file in unit["files"]:
                path = (pathlib.Path(unit["current_working_directory"]) / file["file"]).resolve()
                if path.is_relative_to(top):
                    of_file = lines.setdefault(str(path.relative_to(top)), {})
                    for line in file["lines"]:
                        number = line["line_number"]
                        of_file[number] = of_file.get(number, 0) + line["count"]
    return lines


def main():
    top = pathlib.Path(sys.argv[1]).resolve()
    lines = counts(top, sys.argv[2:])
    total = reached = 0
    for file, of_file in sorted(lines.items()):
        here = sum(count != 0 for count in of_file.values())
        total += len(of_file)
        reached += here
        print(f"{100 * here / len(of_file):6.1f} %  {here:4} of {len(of_file):4}  {file}")
    share = 100 * reached / total
    print(f"{share:6.1f} %  {reached:4} of {total:4}  all of it; aim {AIM:.0f} %")
    print("== lines that nothing reached")
    for file, of_file in sorted(lines.items()):
        text = (top / file).read_text().split("\n")
        for number in sorted(number for number, count in of_file.items() if count == 0):
            print(f"{file}:{number}: {text[number - 1].strip()}")
    return 0 if share >= AIM else 1


sys.exit(main())
