"""The report in a real browser: a thousand objects, hostile texts, no request, narrow and wide."""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from manifests.arrow import to_table
from manifests.lineup import CatchTrial, Lineup, LineupHeat, LineupTrial
from manifests.schema import AnnotationRow, Call, Contradiction, Dropped, Facts, Minimal, Negative, Ruling, ShortText
from pipeline.export.cost import cost, ended_lines, prompt_lines, summary
from pipeline.export.report import report as parts_of_report
from pipeline.run.run_json import RunInfo
from pipeline.verification.summary import verify
from tests.browser import FLAGS, find_chromium
from tests.pipeline import model_rows, rows


def report(table: pa.Table, run: RunInfo, stages: Sequence[str], **limits: int) -> str:
    """The whole page."""
    held = rows.Held(table)
    return "".join(parts_of_report(held, run, stages, cost(held, run), verified=verify(held), **limits))


NARROW, WIDE = (390, 844), (1280, 900)
Scheme = Literal["light", "dark"]


@dataclass
class Opened:
    """A page and what it did: `requests` are all but the file itself and its own data: pictures."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:  # of the module: its event loop must not outlive it, stages run their own
    with sync_playwright() as playwright:
        path = find_chromium(playwright.chromium.executable_path)
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report(rows.thousand(), rows.RUN, rows.STAGES), encoding="utf-8")
    return path


def open_page(
    browser: Browser,
    path: Path,
    view: str = "",
    size: tuple[int, int] = WIDE,
    scheme: Scheme = "light",
) -> Opened:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    opened = Opened(context.new_page())
    opened.page.on("request", lambda request: opened.requests.append(request.url))
    opened.page.on("console", lambda message: opened.complaints.append(message.text))
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.page.goto(path.as_uri() + view)
    return opened


@pytest.fixture
def page(browser: Browser, thousand: Path) -> Iterator[Page]:
    opened = open_page(browser, thousand)
    yield opened.page
    opened.page.context.close()
    assert opened.complaints == []
    foreign = [url for url in opened.requests if not url.startswith(("file://", "data:"))]
    assert foreign == []


def ids(page: Page) -> list[str]:
    return [str(found) for found in page.eval_on_selector_all(".object", "all => all.map(one => one.dataset.id)")]


def count(page: Page) -> str:
    return page.inner_text("#count")


def shows(page: Page, text: str) -> None:
    """Wait until this is the count: an address changes before the page has heard of it and drawn its objects."""
    expect(page.locator("#count")).to_have_text(text)


def test_shows_the_run_the_funnel_and_one_page_of_objects(page: Page) -> None:
    assert page.inner_text("#lede") == "600 of 1,000 masklets in 200 videos kept with an expression."
    funnel = page.inner_text("#funnel")
    assert re.search(r"select objects\s+1,000\s+866", funnel)
    assert re.search(r"decode error\s+failed\s+−67", funnel)
    assert page.locator("#histograms svg").count() == 4
    assert count(page) == "Objects 1 to 20 of 1,000"
    assert len(ids(page)) == 20


def test_only_the_page_shown_has_its_pictures_in_the_document(page: Page) -> None:
    pictures = page.locator("#list img")
    assert 0 < pictures.count() <= 20
    page.wait_for_function("() => [...document.querySelectorAll('#list img')].every(one => one.naturalWidth === 800)")
    before = pictures.first.get_attribute("src")
    page.keyboard.press("n")
    page.wait_for_function("() => document.querySelector('#count').textContent.startsWith('Objects 21')")
    assert 0 < pictures.count() <= 20
    assert pictures.first.get_attribute("src") != before


def test_pages_turn_by_key_button_and_address(page: Page) -> None:
    first = ids(page)
    page.keyboard.press("p")  # no page before the first
    assert count(page).startswith("Objects 1 to 20")
    page.keyboard.press("n")
    shows(page, "Objects 21 to 40 of 1,000")
    assert page.evaluate("location.hash") == "#page=2"
    assert not set(ids(page)) & set(first)
    page.locator(".pager button", has_text="Previous").first.click()
    shows(page, "Objects 1 to 20 of 1,000")
    assert page.evaluate("location.hash") == ""
    assert ids(page) == first
    page.evaluate("location.hash = '#page=50'")
    shows(page, "Objects 981 to 1,000 of 1,000")
    assert page.locator(".pager button", has_text="Next").first.is_disabled()
    page.evaluate("location.hash = '#page=999'")  # an address from a longer run
    page.wait_for_function("() => location.hash === '#page=999'")
    assert count(page) == "Objects 981 to 1,000 of 1,000"


def test_a_turned_page_starts_at_its_first_object(page: Page) -> None:
    page.locator(".pager button", has_text="Next").last.click()
    shows(page, "Objects 21 to 40 of 1,000")
    top = page.locator(".object").first.bounding_box()
    bar = page.locator("#filters").bounding_box()
    assert top
    assert bar
    assert bar["y"] + bar["height"] <= top["y"] < 300


def test_filters_by_state_and_reason(page: Page) -> None:
    page.click("#states a[data-state=rejected]")
    shows(page, "Objects 1 to 20 of 267")
    assert page.evaluate("location.hash") == "#state=rejected"
    assert set(page.locator(".object .badge").all_inner_texts()) == {"rejected"}
    assert page.locator("#states a[aria-current=true]").all_inner_texts() == ["rejected 267"]
    offered = page.locator("#reason option").all_inner_texts()
    assert "inconsistent (67)" in offered
    assert "decode error (67)" not in offered  # a reason of failed rows
    page.select_option("#reason", "inconsistent")
    shows(page, "Objects 1 to 20 of 67")
    assert "reason=inconsistent" in page.evaluate("location.hash")
    assert "crop: red; masked: blue" in page.locator(".object").first.inner_text()
    page.click("#clear")
    page.wait_for_function("() => document.querySelector('#count').textContent.endsWith('1,000')")


def test_a_reason_in_the_funnel_leads_to_its_rows(page: Page) -> None:
    page.locator("#funnel a", has_text="decode error").click()
    shows(page, "Objects 1 to 20 of 67")
    assert page.evaluate("location.hash") == "#state=failed&reason=decode_error"


def test_search_needs_every_word_and_goes_into_the_address(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("DIVISION manual/4 n p")  # letters typed here do not turn pages
    assert page.input_value("#q") == "DIVISION manual/4 n p"
    page.fill("#q", "DIVISION manual/4")
    assert page.evaluate("new URLSearchParams(location.hash.slice(1)).get('q')") == "DIVISION manual/4"
    found = ids(page)
    assert found
    assert all(one.endswith("manual/4") for one in found)
    assert set(page.locator(".object .badge").all_inner_texts()) == {"poisoned"}
    page.fill("#q", "no such word anywhere")
    assert count(page) == "No object"
    assert "Nothing matches" in page.inner_text("#list")


def test_an_address_opens_its_view(browser: Browser, thousand: Path) -> None:
    opened = open_page(browser, thousand, "#state=kept&q=sav_000007&page=1")
    assert ids(opened.page) == [f"sav_000007/manual/{position}" for position in range(3)]
    assert opened.page.input_value("#q") == "sav_000007"
    opened.page.context.close()


def test_an_object_shows_all_that_is_known_of_it(browser: Browser, thousand: Path) -> None:
    opened = open_page(browser, thousand, "#id=sav_000000/manual/1")
    page = opened.page
    (row,) = [row for row in rows.thousand().slice(0, 5).to_pylist() if row["object_id"] == "sav_000000/manual/1"]
    assert ids(page) == [row["object_id"]]
    assert page.inner_text("blockquote") == row["expression"]
    parts = page.locator("blockquote .part").all_inner_texts()
    assert parts == [row["object_description"], row["scene_description"], row["video_description"]]
    shown = page.inner_text(".object")
    known = ("caption_crop", "caption_masked", "verdict", *("object_description", "scene_description"))
    assert all(row[column] in shown for column in known)
    assert all(prompt in shown for prompt in row["prompt_ids"])
    assert "hidden 2.0–3.5 s" in shown
    page.click(".figures summary")
    figures = page.locator(".figures dt").all_inner_texts()
    assert figures == list(Facts.model_fields)  # a new fact cannot be forgotten
    page.locator(".facts a").click()
    expect(page.locator(".object")).to_have_attribute("data-id", "sav_000000/manual/2")  # the neighbour
    assert "manual%2F2" in page.evaluate("location.hash")
    assert opened.complaints == []
    page.context.close()


def test_a_preview_is_enlarged_and_closed_by_keyboard(page: Page) -> None:
    page.locator("button.preview").first.focus()
    page.keyboard.press("Enter")
    assert page.is_visible("#zoom")
    assert page.inner_text("#zoom-id") == ids(page)[0]
    page.keyboard.press("n")
    assert count(page).startswith("Objects 1 to 20")
    page.keyboard.press("Escape")
    assert not page.is_visible("#zoom")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_nothing_is_wider_than_the_window(
    browser: Browser, thousand: Path, size: tuple[int, int], scheme: Scheme
) -> None:
    opened = open_page(browser, thousand, size=size, scheme=scheme)
    drawn = ""
    for view in ("", "#state=poisoned", "#state=kept&page=30"):
        opened.page.evaluate("view => { location.hash = view }", view)
        expect(opened.page.locator("#count")).not_to_have_text(drawn)
        drawn = count(opened.page)
        opened.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert opened.complaints == []
    opened.page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser: Browser, thousand: Path, scheme: Scheme) -> None:
    opened = open_page(browser, thousand, scheme=scheme)
    ratios = opened.page.evaluate(
        """() => {
            const style = getComputedStyle(document.documentElement);
            const light = (name) => {
                const hex = style.getPropertyValue(name).trim().slice(1);
                const [r, g, b] = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
                    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            const inks = ['--ink', '--soft', '--accent', '--kept', '--rejected', '--failed', '--poisoned'];
            return inks.flatMap((ink) => ['--paper', '--card'].map((on) => [ink + on, ratio(light(ink), light(on))]));
        }"""
    )
    opened.page.context.close()
    assert {name: ratio for name, ratio in ratios if ratio < 4.5} == {}  # WCAG 2.2, 1.4.3


def test_hostile_texts_stay_texts(browser: Browser, tmp_path: Path) -> None:
    texts: dict[str, Any] = dict.fromkeys(
        ("caption_crop", "object_description", "expression", "writer", "conflict"), rows.HOSTILE
    )
    texts["contradictions"] = [Contradiction(kind=rows.HOSTILE, claim=rows.HOSTILE, measured=rows.HOSTILE)]
    texts["calls"] = [model_rows.call("caption_crop", "k", fault=rows.HOSTILE, model=rows.HOSTILE)]
    hostile = [
        rows.row(0, 0, **texts, prompt_ids=[rows.HOSTILE]),
        rows.stopped(0, 1, 0, detail=rows.HOSTILE),
        rows.row(0, 2, facts=rows.facts("sav_000000/manual/2", size_ratio=float("nan"), motion=rows.HOSTILE)),
    ]
    run: RunInfo = {**model_rows.RUN, "config": {"note": rows.HOSTILE}}
    path = tmp_path / "report.html"
    path.write_text(report(to_table(hostile, AnnotationRow), run, rows.STAGES), encoding="utf-8")
    opened = open_page(browser, path)
    assert opened.page.inner_text("blockquote >> nth=0") == rows.HOSTILE
    assert opened.page.locator(".detail").inner_text() == rows.HOSTILE
    assert opened.page.title() == "Ref-SAV: sav_000"
    assert opened.page.locator("#list img").count() == 0
    assert rows.HOSTILE in (opened.page.text_content(".calls .fault") or "")
    assert opened.complaints == []
    opened.page.context.close()


def test_what_a_text_smuggles_in_could_not_run_or_call_home(browser: Browser, thousand: Path) -> None:
    opened = open_page(browser, thousand)
    opened.page.evaluate(
        "document.body.insertAdjacentHTML('beforeend', "
        "`<img src='https://example.invalid/x.png' onerror=\"document.title='owned'\">`)"
    )
    opened.page.wait_for_timeout(200)
    assert opened.page.title() == "Ref-SAV: sav_000"
    assert any("Content Security Policy" in complaint for complaint in opened.complaints)
    opened.page.context.close()


def test_can_be_used_while_the_pictures_are_still_read(browser: Browser, thousand: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    started_s = time.monotonic()
    page.goto(thousand.as_uri(), wait_until="commit")
    page.wait_for_selector(".object >> nth=19")
    usable_s = time.monotonic() - started_s
    page.keyboard.press("n")
    page.wait_for_function("() => document.querySelector('#count').textContent.startsWith('Objects 21')")
    context.close()
    assert usable_s < 30, f"a thousand objects took {usable_s:.1f} s to show"  # 1 s on a quiet machine


def test_more_than_fit_are_sampled_and_the_page_says_so(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    html = report(rows.thousand(), rows.RUN, rows.STAGES, max_objects=500, max_previews=100)
    assert html.count('<script type="text/plain"') == 100
    path.write_text(html, encoding="utf-8")
    opened = open_page(browser, path)
    notes = opened.page.inner_text("#notes")
    assert "lists 500 of 1,000 masklets" in notes
    assert "Pictures of 100 of" in notes
    assert opened.page.inner_text("#lede").startswith("600 of 1,000 masklets")  # counts are of all rows
    assert count(opened.page).endswith("of 500")
    opened.page.context.close()


def test_a_run_without_any_row_kept_still_has_a_report(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(report(to_table([rows.stopped(0, 0, 1)], AnnotationRow), rows.RUN, rows.STAGES), encoding="utf-8")
    opened = open_page(browser, path)
    assert opened.page.inner_text("#lede") == "0 of 1 masklet in 1 video kept with an expression."
    assert ids(opened.page) == ["sav_000000/manual/0"]
    assert opened.complaints == []
    opened.page.context.close()


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(report(model_rows.table(), model_rows.RUN, model_rows.STAGES), encoding="utf-8")
    return path


def test_what_models_were_asked_is_told_of_the_run_and_of_each_object(browser: Browser, asked: Path) -> None:
    opened = open_page(browser, asked, "#id=sav_000000/manual/3")
    page = opened.page
    bill = cost(rows.Held(model_rows.table()), model_rows.RUN)
    assert bill is not None
    shown = [cell for line in (*prompt_lines(bill), *ended_lines(bill)) for cell in line]
    assert page.locator("#cost tbody :is(th, td)").all_inner_texts() == shown
    assert [*zip(*(page.locator(f"#cost {tag}").all_text_contents() for tag in ("dt", "dd")), strict=True)] == summary(
        bill
    )
    page.click(".calls summary")
    assert page.inner_text(".calls summary") == "8 requests, 8,000 tokens in, 1,212 out, 2 faults"
    assert page.locator(".calls tbody th").count() == 8
    assert page.locator(".calls .fault").all_inner_texts() == [
        "not used: caption speaks of how the object was shown: 'black background'",
        "not used: ended by 'length' after 512 tokens",
    ]
    page.evaluate("location.hash = '#id=sav_000000/manual/2'")
    page.wait_for_selector(".contradiction")
    assert "it moves to the right”; measured: it moves left, 212 px" in page.inner_text(".texts")
    page.evaluate("location.hash = '#id=sav_000000/manual/1'")
    page.wait_for_function("() => document.querySelector('.texts').innerText.includes('red mug')")
    assert "Repaired\nobject" in page.inner_text(".texts")
    assert opened.complaints == []
    page.context.close()


def test_figures_of_models_fit_a_telephone(browser: Browser, asked: Path) -> None:
    opened = open_page(browser, asked, size=NARROW)
    page = opened.page
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW[0]
    hidden = "[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth).length"
    assert page.evaluate(hidden) == 0
    page.context.close()


def test_a_run_without_models_says_nothing_of_them(page: Page) -> None:
    assert not page.is_visible("#cost")
    assert page.locator(".calls").count() == 0


def test_replies_stay_out_of_the_page_and_a_call_takes_little() -> None:
    def size(calls: list[Call]) -> int:
        table = to_table([model_rows.kept(0, 0, calls=calls)], AnnotationRow)
        return len(report(table, model_rows.RUN, model_rows.STAGES))

    one = [model_rows.call("describe_scene", "k")]
    assert (size(one * 101) - size(one)) / 100 < 60  # characters


def test_a_line_up_shows_its_frames_its_picks_and_what_was_written_anew(browser: Browser, tmp_path: Path) -> None:
    before, now = "The object is a red ball.", "The object is a red ball with a white stripe."
    ids = [f"sav_000000/manual/{number}" for number in range(3)]
    first, last = (held(text, picks, ids) for text, picks in ((before, [ids[1]]), (now, [ids[0]])))
    pictures: dict[str, Any] = {
        "preview_jpeg": rows.preview(0),
        "lineup_jpeg": rows.preview(1),
        "confuser_jpeg": rows.preview(2),
    }
    catch = CatchTrial(kind="no_target", truth=[], lineup=held("the grey object", [], ids))
    table = to_table(
        [
            rows.row(0, 0, expression=now, lineup=last, lineup_before=first, catch_trials=[catch], **pictures),
            rows.row(0, 1, lineup=held(rows.HOSTILE, [ids[1]], ids)),
            rows.row(0, 2, **short_and_negative(ids)),
        ],
        AnnotationRow,
    )
    path = tmp_path / "report.html"
    path.write_text(report(table, rows.RUN, rows.STAGES), encoding="utf-8")
    for size in (WIDE, NARROW):
        opened = open_page(browser, path, size=size)
        page = opened.page
        shown = page.locator(".object").first.locator(".lineup")
        page.wait_for_function("() => [...document.querySelectorAll('.lineup img')].every(one => one.naturalWidth > 0)")
        assert shown.locator("img").count() == 2
        assert "beside it manual/1, with which it was confused" in shown.inner_text()
        assert shown.locator(".difference del").all_inner_texts() == ["ball."]
        assert shown.locator(".difference ins").all_inner_texts() == ["ball with a white stripe."]
        assert "“the grey object” fits none: not found" in shown.inner_text()
        shown.locator("summary").first.click()
        assert re.search(r"picked this object\s+“it fits” numbers: 1 this object, 2 manual/1", shown.inner_text())
        page.locator(".others summary").first.click()
        assert re.sub(r"\s+", " ", page.locator(".others").inner_text()) == OTHERS
        shown.locator("button").first.click()
        assert page.locator("#zoom").is_visible()
        assert page.locator(".lineup:not(.others)").count() == 2
        assert "Do the texts single out their objects?" in page.inner_text("#verified")
        assert page.title() == "Ref-SAV: sav_000", "a text is no markup"
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert opened.complaints == []
        page.context.close()


OTHERS = (
    "Short texts, and texts that do not fit "
    "Short text “the red ball on the left”; singles out its object, picked alone in 100 % of 2 trials "
    "without “on the left” it would fit manual/0, manual/1 "
    "Not taken “the ball”: line-up: fits manual/1 as well; fits another one as well, picked alone in 0 % of 2 trials "
    "Not taken “the red ball at the bottom of the scene”: longer than the one that is taken "
    "Fits none “the red ball 0” instead of “the red ball”; something without a masklet may fit it "
    "Why: “0” this object “0” ruled out: red <b>0.90</b> "
    "Fits another “the red ball 1” fits manual/1 instead of “the red ball” Why: “1” "
    "Fits none “the red ball 2” instead of “the red ball” Why: “2” "
    "Fits none “the red ball 3” instead of “the red ball” Why: “3” "
    "2 more in negatives.json"
)


def short_and_negative(ids: list[str]) -> dict[str, Any]:
    """Columns of the object ids[2]: three short texts, one of them taken and minimal, and six negatives."""
    taken, confused, longer = "the red ball on the left", "the ball", "the red ball at the bottom of the scene"
    judged = {text: held(text, picked, ids) for text, picked in ((taken, ids[:1]), (confused, ids[1:2]))}
    faults = {confused: "line-up: fits manual/1 as well"}
    shorts = [
        ShortText(text=text, fault=faults.get(text), contradictions=[], fits=[ids[2]], lineup=judged.get(text))
        for text in (confused, taken, longer)
    ]
    negatives = [
        Negative(
            text=f"the red ball {at}",
            kind="wrong_target" if at == 1 else "no_target",
            changed="side",
            instead_of="the red ball",
            claim=str(at),
            target=ids[1] if at == 1 else None,
            rulings=[
                Ruling(object_id=ids[2], kind="side", claim=str(at), state="ruled out", measured="red <b>0.90</b>")
            ],
            unseen_twin_possible=at == 0,
        )
        for at in range(6)
    ]
    proof = [Dropped(claim="red", then_fits=[]), Dropped(claim="on the left", then_fits=ids[:2])]
    minimal = Minimal(text=taken, claims=[], proof=proof)
    return {"short_expression": taken, "short_texts": shorts, "minimal": minimal, "negatives": negatives}


def held(text: str, picked: list[str], ids: list[str]) -> Lineup:
    """Two trials that end alike."""
    right = picked == ids[:1]
    decision = "singled_out" if right else "ambiguous" if picked else "not_found"
    trial = LineupTrial(heats=[LineupHeat(shown=ids, picked=picked, evidence="it fits")], picked=picked)
    return Lineup(
        expression=text,
        candidates=ids,
        places=["middle left"] * len(ids),
        times_s=[0.0, 1.5],
        trials=[trial, trial],
        pick_rate=float(right),
        runner_up=None if right or not picked else picked[0],
        runner_up_rate=float(bool(picked) and not right),
        decision=decision,
        judge="gemma",
        revision="r1",
    )
