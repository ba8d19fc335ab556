"""`heliograph watch`: open the page of a run that was started with `--watch`."""

from __future__ import annotations

import argparse

from heliograph.cli import Command

DEFAULT_ADDRESS = "127.0.0.1:7180"
ANSWER_DEADLINE_S = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "address", nargs="?", default=DEFAULT_ADDRESS, metavar="HOST:PORT", help="what the run was told by --watch"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print where the page is")


def run(namespace: argparse.Namespace) -> int:
    import http.client
    import webbrowser

    from heliograph.errors import NetworkError
    from heliograph.listening import as_address, parse_address

    host, port = parse_address(namespace.address)
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_DEADLINE_S)
    try:
        connection.request("HEAD", "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        status = None
    finally:
        connection.close()
    if status != http.client.OK:
        raise NetworkError(
            f"no page of a run answers at {namespace.address}", remedy="Start the run with --watch HOST:PORT"
        )
    url = f"http://{as_address(host, port)}/"
    print(url)
    if not namespace.no_browser:
        webbrowser.open(url)
    return 0


COMMAND = Command(summary="open the page of a run that is going on", configure=configure, run=run)
