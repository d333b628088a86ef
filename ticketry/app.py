"""The application of one API process, put together."""

import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from fastapi_offline.core import _STATIC_PATH
from starlette.types import ASGIApp

import ticketry
from ticketry.accounts.guard import count_address
from ticketry.accounts.keys import api as keys_api
from ticketry.accounts.users import api as users_api
from ticketry.accounts.workspaces import api as workspaces_api
from ticketry.attachments import api as attachments_api
from ticketry.contacts import api as contacts_api
from ticketry.core.clock import Clock, system_clock
from ticketry.erasure import api as erasure_api
from ticketry.feed import api as feed_api
from ticketry.feed.service import waiting as waiting_events
from ticketry.mail.receiving import api as mail_in_api
from ticketry.mail.sending import api as mail_messages_api
from ticketry.mail.sending.figures import backlog as waiting_mail
from ticketry.mail.wording import api as mail_wording_api
from ticketry.settings import Settings
from ticketry.sla.policies import api as policies_api
from ticketry.tickets import api as tickets_api
from ticketry.tickets.bulk import api as bulk_api
from ticketry.tickets.comments import api as comments_api
from ticketry.tickets.links import api as links_api
from ticketry.tickets.promises import api as promises_api
from ticketry.transfer import api as transfer_api
from ticketry.web import health
from ticketry.web.middleware import Edge
from ticketry.web.resources import make_resources
from ticketry.webhooks.deliveries import api as deliveries_api
from ticketry.webhooks.deliveries.figures import backlog
from ticketry.webhooks.endpoints import api as endpoints_api
from ticketry.worker import running_worker

DESCRIPTION = """Open, work, close and reopen support tickets from your own programs.

Send an API key with every request: `Authorization: Bearer sk_live_…`. Bodies and answers are JSON.
"""
DOCS_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'"
)
ROUTERS = (
    transfer_api.router,
    bulk_api.router,
    tickets_api.router,
    comments_api.router,
    attachments_api.router,
    links_api.router,
    promises_api.router,
    feed_api.router,
    mail_in_api.router,
    mail_wording_api.router,
    mail_messages_api.router,
    deliveries_api.router,
    endpoints_api.router,
    policies_api.router,
    contacts_api.router,
    erasure_api.router,
    users_api.router,
    keys_api.router,
    workspaces_api.router,
)


class App(FastAPI):
    """FastAPI with the edge as its only layer: what it puts around the routes itself does again what the edge does."""

    def build_middleware_stack(self) -> ASGIApp:
        """The edge and the routes. The layer between them is for those that are not guarded: FastAPI's own."""
        return Edge(AsyncExitStackMiddleware(self.router), self.state.resources, on_stray=count_address)


def create_app(settings: Settings, clock: Clock = system_clock) -> FastAPI:
    """The application. `settings.database_url` names a migrated database."""
    house = make_resources(settings, clock)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for pool in (house.pool, house.wires.pool):
                await pool.open()
                stack.push_async_callback(pool.close)
            stack.push_async_callback(house.news.end)
            if settings.run_worker:
                await stack.enter_async_context(running_worker(house))
            _calm_collector()
            yield

    app = App(
        title="Ticketry",
        version=ticketry.__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.resources = house
    house.figures.append(waiting_mail)
    house.figures.append(backlog)
    house.figures.append(waiting_events)
    for router in (*ROUTERS, health.router):
        app.router.routes += router.routes  # included, each would be looked through twice for every request
    _add_docs(app)
    return app


def _calm_collector() -> None:
    """What exists now lives as long as the process: the collector need not look at it on every request."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _add_docs(app: FastAPI) -> None:
    """`/docs`, its scripts served from here: it works without the internet."""
    app.mount("/docs/static", StaticFiles(directory=_STATIC_PATH), name="docs-static")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Ticketry API",
            swagger_js_url="/docs/static/swagger-ui-bundle.js",
            swagger_css_url="/docs/static/swagger-ui.css",
            swagger_favicon_url="/docs/static/favicon.png",
        )
        page.headers["Content-Security-Policy"] = DOCS_POLICY
        return page
