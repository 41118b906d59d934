#!/usr/bin/env python3
"""page_reader.py URL QUERY: walks through /v1/jobs from the first page to the last, for ever, on one
connection; prints the seconds that each page took. It does next to nothing with a page: in earnest a
reader is on another machine, and here it must not be what publishes wait for."""
import http.client
import re
import sys
import time

NEXT = re.compile(rb'"next_cursor":(?:null|"?(\d+)"?)')


def main():
    url, query = sys.argv[1:]
    connection = http.client.HTTPConnection(url.split("//")[1])
    cursor = ""
    while True:
        begun = time.monotonic()
        connection.request("GET", f"/v1/jobs?{query}{cursor}")
        body = connection.getresponse().read()
        print(f"{time.monotonic() - begun:.6f}", flush=True)
        found = NEXT.search(body, body.rfind(b'"next_cursor"'))
        cursor = f"&cursor={found[1].decode()}" if found[1] is not None else ""


if __name__ == "__main__":
    main()
