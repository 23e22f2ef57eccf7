"""The pages. Each is a template with no data but who is signed in; its script asks the API for the rest."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select
from starlette.templating import Jinja2Templates

from validation_ui.people.access import Caller, caller_of, csrf_token, need
from validation_ui.problem import Problem
from validation_ui.schema import Role, person
from validation_ui.settings import REASONS

router = APIRouter(default_response_class=HTMLResponse)
SomeoneDep = Annotated[Caller, Depends(need())]
JudgeDep = Annotated[Caller, Depends(need(Role.REVIEWER))]
ObserverDep = Annotated[Caller, Depends(need(Role.READER, Role.ADJUDICATOR))]
AdminDep = Annotated[Caller, Depends(need(Role.ADMIN))]


def templates() -> Jinja2Templates:
    """The package's templates; what is put into them is escaped, always."""
    found = Jinja2Templates(directory=Path(__file__).parent / "templates")
    found.env.autoescape = True
    return found


@router.get("/login")
def login(request: Request, caller: Annotated[Caller | None, Depends(caller_of)]) -> HTMLResponse:
    """Sign in."""
    return _page(request, "login.html", caller)


@router.get("/invite/{token}")
def invite(request: Request, token: str) -> HTMLResponse:
    """Accept an invite; its script reads the token from the address."""
    return _page(request, "invite.html", None)


@router.get("/")
def home(request: Request, caller: SomeoneDep) -> HTMLResponse:
    """What there is to do."""
    return _page(request, "home.html", caller)


@router.get("/review")
def review(request: Request, caller: JudgeDep) -> HTMLResponse:
    """The screen on which items are judged."""
    return _page(request, "review.html", caller)


@router.get("/i/{public_id}")
def item(request: Request, public_id: str, caller: SomeoneDep) -> HTMLResponse:
    """One item by its link; whether the person may see it is for the API to say."""
    return _page(request, "item.html", caller)


@router.get("/guide")
def guide(request: Request, caller: SomeoneDep) -> HTMLResponse:
    """How to judge."""
    return _page(request, "guide.html", caller)


@router.get("/me")
def me(request: Request, caller: SomeoneDep) -> HTMLResponse:
    """One's own settings."""
    return _page(request, "me.html", caller)


@router.get("/dashboard")
def dashboard(request: Request, caller: ObserverDep) -> HTMLResponse:
    """Progress, people's figures, agreement."""
    return _page(request, "dashboard.html", caller)


@router.get("/people")
def people(request: Request, caller: AdminDep) -> HTMLResponse:
    """Roles, standings, invites."""
    return _page(request, "people.html", caller)


@router.get("/gold")
def gold(request: Request, caller: AdminDep) -> HTMLResponse:
    """Gold items."""
    return _page(request, "gold.html", caller)


@router.get("/log")
def log(request: Request, caller: AdminDep) -> HTMLResponse:
    """The audit log."""
    return _page(request, "log.html", caller)


def error_page(request: Request, problem: Problem) -> HTMLResponse:
    """A page that says what went wrong."""
    return _page(request, "error.html", None, problem.status, problem=problem)


def login_address(request: Request) -> str:
    """Of the login page, which leads back to where the person wanted to go."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"/login?next={quote(request.url.path + query, safe='')}"


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
        "path": request.url.path,
        "reasons": REASONS,
        **more,
    }
    found: Jinja2Templates = request.app.state.templates
    return found.TemplateResponse(request, name, context, status_code=status)
