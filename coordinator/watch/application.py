"""The page, its stream of events and its controls, as an ASGI application."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from string import Template

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from coordinator.watch.host_check import HostCheck
from coordinator.watch.pages import Pages

CONTROL_HEADER = "x-heliograph-watch"
"""Sent with every control: pages of other sites, which a browser may show as well, cannot send it unasked."""

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}

PARTS = {"style": "page.css", "graph": "graph.js", "latents": "latents.js", "charts": "charts.js", "page": "page.js"}


def page() -> str:
    """One document with everything inside; it asks nobody but this server for anything."""
    folder = files("coordinator.watch").joinpath("page")
    parts = {name: folder.joinpath(file).read_text(encoding="utf-8") for name, file in PARTS.items()}
    return Template(folder.joinpath("page.html").read_text(encoding="utf-8")).substitute(parts)


def application(pages: Pages, *, hosts: Sequence[str]) -> Starlette:
    """The application of a run's pages; `hosts` are the names that it may be asked by, beside addresses."""
    document = page()
    controls = {"pause": pages.gate.pause, "resume": pages.gate.resume, "step": pages.gate.step}

    async def show(_request: Request) -> Response:
        return HTMLResponse(document, headers=HEADERS)

    async def events(_request: Request) -> Response:
        return StreamingResponse(pages.stream(), media_type="text/event-stream", headers=HEADERS)

    async def control(request: Request) -> Response:
        if CONTROL_HEADER not in request.headers:
            return JSONResponse({"error": f"a control needs the header {CONTROL_HEADER}"}, status_code=403)
        name = request.path_params["name"]
        if name not in controls:
            return JSONResponse({"error": f"there is no control {name!r}"}, status_code=404)
        if name != "resume" and not pages.watched:
            return JSONResponse({"error": "a run waits only while a page is open"}, status_code=409)
        controls[name]()
        return JSONResponse({"paused": pages.gate.closed})

    return Starlette(
        routes=[Route("/", show), Route("/events", events), Route("/control/{name}", control, methods=["POST"])],
        middleware=[Middleware(HostCheck, names=hosts)],
    )
