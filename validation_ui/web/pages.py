"""The pages: templates that contain no data but who is signed in; the scripts ask the API for the rest.

Templates name addresses as if the app were at the root of its host. Below a path, `/refsav`, this path is put before
them here and in `static/lib/address.js`, and nowhere else.
"""

import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from jinja2.ext import Extension
from sqlalchemy import select
from starlette.templating import Jinja2Templates

from validation_ui.people.access import Caller, caller_of, csrf_token
from validation_ui.problem import Problem
from validation_ui.schema import person
from validation_ui.settings import REASONS
from validation_ui.web.entry import needs_guide
from validation_ui.web.requests import AdminDep, ObserverDep, ReviewerDep, SomeoneDep

router = APIRouter(default_response_class=HTMLResponse)


class _Below(Extension):
    """Puts the path of the public URL before the addresses that the templates name."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Return the text of a template with `{{ base }}` before every address that begins with a slash."""
        return re.sub(r"""\b(href|src|action)="(?=/|\{\{ address \}\})""", r'\1="{{ base }}', source)


def templates() -> Jinja2Templates:
    """Load the package's templates, with escaping of all values."""
    jinja_templates = Jinja2Templates(directory=Path(__file__).parent / "templates")
    jinja_templates.env.autoescape = True
    jinja_templates.env.add_extension(_Below)
    return jinja_templates


@router.get("/login")
def login(request: Request, caller: Annotated[Caller | None, Depends(caller_of)]) -> HTMLResponse:
    """Show the login page."""
    return _page(request, "login.html", caller)


@router.get("/invite/{token}")
def invite(request: Request, token: str) -> HTMLResponse:
    """Show the page that accepts an invite; its script reads the token from the URL."""
    return _page(request, "invite.html", None)


@router.get("/reset/{token}")
def reset(request: Request, token: str) -> HTMLResponse:
    """Show the page on which a new password is chosen; its script reads the token from the URL."""
    return _page(request, "reset.html", None)


@router.get("/")
def home(request: Request, caller: SomeoneDep) -> HTMLResponse:
    """Show the start page: what there is to do."""
    return _page(request, "home.html", caller)


@router.get("/review")
def review(request: Request, caller: ReviewerDep) -> Response:
    """Show the page on which items are judged; newcomers are led through the guide first, once."""
    with request.app.state.database.read() as connection:
        if needs_guide(connection, caller):
            return RedirectResponse(f"{request.scope.get('root_path', '')}/guide", 303)
    return _page(request, "review.html", caller)


@router.get("/i/{public_id}")
def item(request: Request, public_id: str, caller: SomeoneDep) -> HTMLResponse:
    """Show the page of one item; the API decides whether the person may see the item."""
    return _page(request, "item.html", caller)


@router.get("/guide")
def guide(request: Request, caller: SomeoneDep) -> HTMLResponse:
    """Show the guide for reviewers; to newcomers it ends with the way to the entry test."""
    with request.app.state.database.read() as connection:
        is_first = needs_guide(connection, caller)
    return _page(request, "guide.html", caller, is_first=is_first)


@router.get("/entry")
def entry(request: Request, caller: ReviewerDep) -> HTMLResponse:
    """Show the page of the person's entry test: their answers beside the right ones."""
    return _page(request, "entry.html", caller)


@router.get("/me")
def me(request: Request, caller: SomeoneDep) -> HTMLResponse:
    """Show the page of one's own settings."""
    return _page(request, "me.html", caller)


@router.get("/dashboard")
def dashboard(request: Request, caller: ObserverDep) -> HTMLResponse:
    """Show the page of progress, reviewers' figures and agreement."""
    return _page(request, "dashboard.html", caller)


@router.get("/people")
def people(request: Request, caller: AdminDep) -> HTMLResponse:
    """Show the page of people's roles, standings and invites."""
    return _page(request, "people.html", caller)


@router.get("/items")
def items(request: Request, caller: ObserverDep) -> HTMLResponse:
    """Show the page on which items are found."""
    return _page(request, "items.html", caller)


@router.get("/settings")
def settings(request: Request, caller: AdminDep) -> HTMLResponse:
    """Show the page of quotas and other settings."""
    return _page(request, "settings.html", caller)


@router.get("/export")
def export(request: Request, caller: AdminDep) -> HTMLResponse:
    """Show the page on which the split is exported."""
    return _page(request, "export.html", caller)


@router.get("/gold")
def gold(request: Request, caller: AdminDep) -> HTMLResponse:
    """Show the page of gold items."""
    return _page(request, "gold.html", caller)


@router.get("/log")
def log(request: Request, caller: AdminDep) -> HTMLResponse:
    """Show the page of the audit log."""
    return _page(request, "log.html", caller)


def error_page(request: Request, problem: Problem) -> HTMLResponse:
    """Return a page that tells what went wrong."""
    return _page(request, "error.html", None, problem.status, problem=problem)


def login_address(request: Request) -> str:
    """Return the URL of the login page, which leads back to the requested page afterwards."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.scope['root_path']}/login?next={quote(request.url.path + query, safe='')}"


def address_of(request: Request) -> str:
    """Return the path of a request as the routes name it, without that of the public URL."""
    return request.url.path.removeprefix(request.scope["root_path"])


def addresses() -> set[str]:
    """Return the paths of all pages."""
    return {route.path for route in router.routes if isinstance(route, APIRoute)}


def _page(request: Request, name: str, caller: Caller | None, status: int = 200, **more: Any) -> HTMLResponse:
    theme = "auto"
    if caller is not None:
        with request.app.state.database.read() as connection:
            wanted = select(person.c.preferences).where(person.c.id == caller.id)
            theme = connection.execute(wanted).scalar_one().get("theme", "auto")
    context = {
        "caller": caller,
        "csrf": csrf_token(request.app.state.serving, caller.session_hash) if caller else "",
        "theme": theme,
        "base": request.scope["root_path"],
        "path": address_of(request),
        "reasons": REASONS,
        **more,
    }
    jinja_templates: Jinja2Templates = request.app.state.templates
    return jinja_templates.TemplateResponse(request, name, context, status_code=status)
