"""The player in a real Chromium: what the pixels of the canvas spell must be the frame that it says it shows."""

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from pycocotools import mask as coco

from tests.browser import FLAGS, find_chromium
from tests.validation_ui.player_fixture import (
    ABSENT,
    ANNOTATED,
    COUNT,
    FRAME_BYTES,
    Served,
    barcode_files,
    jpeg,
    pack,
    picture,
    serve,
)
from validation_ui.web.account import HOTKEY_ACTIONS, check_hotkeys

WIDE, NARROW = {"width": 800, "height": 600}, {"width": 360, "height": 780}
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = find_chromium(playwright.chromium.executable_path)
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    with serve(barcode_files()) as served:
        yield served


@pytest.fixture
def server(running: Served) -> Served:
    running.behave()
    return running


@pytest.fixture
def open_player(browser: Browser, server: Served) -> Iterator[Open]:
    """Opens the harness; afterwards nothing may have been complained of but what the test says."""
    pages: list[tuple[Page, list[str], str]] = []

    def opened(query: str = "", *, ready: bool = True, allowed: str = "", **options: Any) -> Page:
        page = browser.new_context(**{"viewport": WIDE, **options}).new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{server.url}/pages/player.html?{query}")
        page.wait_for_function("() => window.player")
        if ready:
            page.wait_for_selector("body[data-ready]")
        pages.append((page, complaints, allowed))
        return page

    yield opened
    for page, complaints, allowed in pages:
        page.context.close()
        expected = (
            "Canvas2D: Multiple readback",
            *([allowed] if allowed else []),
        )  # the first is about the tests' eyes
        assert [text for text in complaints if not any(part in text for part in expected)] == []


def said(page: Page) -> str:
    return page.inner_text(".player-counter")


def go(page: Page, frame: int) -> None:
    page.evaluate("async (k) => { player.seek(k); await presented(k); }", frame)


def waits_for(page: Page, frame: int) -> None:
    page.wait_for_function("(k) => player.presented.frame === k", arg=frame)


def test_300_random_seeks_show_no_wrong_frame(open_player: Open) -> None:
    page = open_player()
    frames = random.Random(4).choices(range(COUNT), k=300)
    faults, masks = page.evaluate(
        """async (frames) => {
            const [faults, masks] = [[], []];
            for (const k of frames) {
                player.seek(k);
                await presented(k);
                faults.push(wrong());
                masks.push(player.presented.mask);
            }
            return [faults, masks];
        }""",
        frames,
    )
    assert [fault for fault in faults if fault] == []
    held = [k - k % 4 for k in frames]
    assert masks == [None if k in ABSENT else k for k in held]


def test_20_pauses_while_playing_show_no_wrong_frame(open_player: Open) -> None:
    page = open_player()
    times_ms = random.Random(5).choices(range(30, 200), k=20)
    seen, faults = page.evaluate(
        """async (times_ms) => {
            const [seen, faults] = [[], []];
            for (const [n, ms] of times_ms.entries()) {
                player.travel.setSpeed(n % 2 ? 2 : 1);
                if (player.frame > 80) player.seek(0);
                player.play();
                const played = await watch(ms);
                player.pause();
                await presented(player.frame);
                const paused = await watch(40);
                faults.push(...played.faults, ...paused.faults);
                if (paused.seen.length !== 1) faults.push(`moved while paused: ${paused.seen}`);
                seen.push(...played.seen);
            }
            return [seen, faults];
        }""",
        times_ms,
    )
    assert faults == []
    assert len(set(seen)) > 20


def test_playing_keeps_the_speed_asked_for(open_player: Open) -> None:
    page = open_player()
    for speed in (0.5, 2):
        go(page, 4)
        frames = page.evaluate(
            """async (speed) => {
                player.travel.setSpeed(speed);
                await watch(200);
                player.play();
                const from = performance.now();
                await watch(800);
                const s = (performance.now() - from) / 1000;
                player.pause();
                return (player.presented.frame - 4) / s;
            }""",
            speed,
        )
        assert frames == pytest.approx(24 * speed, rel=0.15, abs=3)


def test_an_uneven_video_is_played_by_its_own_times(open_player: Open) -> None:
    """Frames 0 to 10 last a 24th of a second each, all others ten seconds."""
    page = open_player()
    page.evaluate("""async () => {
        const times_s = video.times_s.map((_, k) => (k <= 10 ? k / 24 : 10 / 24 + 10 * (k - 10)));
        await player.load({ ...video, times_s }, masks, { frame: 0 });
    }""")
    go(page, 11)
    assert ", 10.42 s" in said(page)
    go(page, 0)
    seen = page.evaluate("async () => { player.play(); return (await watch(1500)).seen; }")
    assert 0 < max(seen) <= 10, "at 24 frames a second it would be past 30"
    page.evaluate("player.pause()")
    go(page, 90)
    assert page.evaluate("async () => { player.play(); return (await watch(300)).seen; }")[-1] == 90


def test_resizing_zooming_and_leaving_the_tab_show_no_wrong_frame(open_player: Open) -> None:
    page = open_player()
    go(page, 57)
    for width in (1280, 500, 361, 900):
        page.set_viewport_size({"width": width, "height": 700})
        page.evaluate("frame().then(frame)")
        assert page.evaluate("wrong()") == ""
    before = page.evaluate("read()")
    page.evaluate("player.scene.zoomIn(); player.scene.zoomIn()")
    assert page.evaluate("read()") != before
    page.evaluate("player.scene.zoomReset()")
    assert page.evaluate("read()") == before

    page.evaluate("player.seek(8); player.play()")
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true}); " + (
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.evaluate(hide % "true")
    left = page.evaluate("player.presented.frame")
    assert page.evaluate("watch(600)") == {"seen": [left], "faults": []}
    page.evaluate(hide % "false")
    back = page.evaluate("watch(300)")
    assert back["faults"] == []
    assert left < back["seen"][-1] < left + 14  # it went on from where it was left


def test_steps_go_where_the_keys_say(open_player: Open) -> None:
    page = open_player()
    assert said(page) == "frame 4 of 102, 0.17 s, mask exact"  # the first where the object is seen
    for key, frame in (
        (".", 8),
        ("Alt+.", 9),
        ("Alt+.", 10),
        (",", 8),
        ("Alt+,", 7),
        (".", 8),
        ("Shift+Period", 18),
        ("Shift+Comma", 8),
        ("l", 40),
        ("l", 52),
        ("j", 40),
        ("End", 96),
        ("Home", 4),
    ):
        page.keyboard.press(key)
        waits_for(page, frame)
        assert page.evaluate("wrong()") == ""


def test_what_is_not_exact_says_so(open_player: Open) -> None:
    page = open_player()
    tags = {}
    for frame in (8, 10, 40, 42):
        go(page, frame)
        tags[frame] = (page.text_content(".player-tag"), said(page).split(", ")[-1])
    assert tags == {
        8: ("", "mask exact"),
        10: ("mask from frame 8", "mask from frame 8"),
        40: ("not visible here", "not visible here"),
        42: ("not visible at frame 40", "not visible at frame 40"),
    }
    assert page.evaluate("player.presented") == {"frame": 42, "mask": None, "exact": False}
    go(page, 8)
    page.keyboard.down("h")
    assert page.evaluate("[player.presented.mask, read().mask]") == [None, None]
    assert said(page).endswith("mask hidden")
    page.keyboard.up("h")
    assert page.evaluate("[player.presented.mask, read().mask]") == [8, 8]
    page.keyboard.press("m")
    assert page.evaluate("read().mask") is None


def test_styles_and_opacity(open_player: Open) -> None:
    """The mask of frame 20 is 59..67 x 115..174 on grey 128."""
    page = open_player()
    go(page, 20)
    look = """() => {
        const canvas = document.querySelector('canvas');
        const scale = canvas.width / video.width_px;
        const at = (x, y) => [...canvas.getContext('2d').getImageData(x * scale, y * scale, 1, 1).data].slice(0, 3);
        const edge = Array.from({length: 80}, (_, n) => at(54 + n / 10, 140)[0]);
        return {inside: at(63.5, 140), outside: at(120, 140), darkest: Math.min(...edge), lightest: Math.max(...edge)};
    }"""
    outline = page.evaluate(look)
    assert outline["inside"] == outline["outside"] == [128, 128, 128]
    assert page.get_by_role("button", name="Opacity").is_hidden()
    page.keyboard.press("k")
    fill = page.evaluate(look)
    assert fill["inside"][0] - fill["inside"][1] > 60
    assert fill["outside"] == [128, 128, 128]
    page.keyboard.press("o")
    stronger = page.evaluate(look)
    assert stronger["inside"][1] < fill["inside"][1] - 10
    page.keyboard.press("k")
    spotlight = page.evaluate(look)
    assert spotlight["inside"] == [128, 128, 128]
    assert spotlight["outside"][0] < 64
    for shown in (outline, fill, stronger, spotlight):  # both tones of the contour
        assert shown["darkest"] < 40
        assert shown["lightest"] > 215
    assert page.evaluate("styles") == ["fill", "spotlight"]
    page.evaluate("player.load(other = structuredClone(video), masks, {frame: 20})")
    assert page.evaluate(look)["inside"] == [128, 128, 128]
    assert page.get_by_role("button", name="Mask as").text_content() == "spotlightMask as"


CHANGED = """async ([rows, counts, ground, style, zoom]) => {
    const [height, width] = [rows.length, rows[0].length];
    const size = [height, width];
    const picture = document.createElement('canvas');
    [picture.width, picture.height] = [width, height];
    const context = picture.getContext('2d');
    context.fillStyle = ground;
    context.fillRect(0, 0, width, height);
    player.scene.look.style = style;
    const canvas = document.querySelector('canvas');
    const look = () => canvas.getContext('2d', {willReadFrequently: true})
        .getImageData(0, 0, canvas.width, canvas.height).data;
    const one = {...video, height_px: height, width_px: width, frame_count: 4, annotated: [0]};
    player.scene.clear(one);
    for (let n = 0; n < zoom; n++) player.scene.screen.view.zoomAt(2);
    const bitmap = await createImageBitmap(picture);
    const shapes = new Track({size, annotated: [0], rles: [counts]});
    const paint = (k, on) => {
        player.scene.look.on = on;
        player.scene.draw(k, bitmap, {video: one, track: shapes});
        return look();
    };
    const found = {inside: 0, changed: 0, far: 0, darkest: 255, lightest: 0};
    const {rect} = player.scene.screen.view;
    const scale = canvas.width / canvas.getBoundingClientRect().width;
    const around = Array.from({length: 15}, (_, n) => (n - 7) * scale); // CSS pixels
    for (const k of [0, 2]) { // the mask of this frame; that of another, in dashes
        const [before, after] = [paint(k, false), paint(k, true)];
        for (let y = 0; y < canvas.height; y++) {
            for (let x = 0; x < canvas.width; x++) {
                const inMask = (dx, dy) => {
                    const column = Math.floor(((x + 0.5 + dx) / scale - rect.x) / rect.width * width);
                    const row = Math.floor(((y + 0.5 + dy) / scale - rect.y) / rect.height * height);
                    return rows[row]?.[column] === 1;
                };
                const pixel = 4 * (y * canvas.width + x);
                const differs = [0, 1, 2].some((c) => before[pixel + c] !== after[pixel + c]);
                if (inMask(0, 0)) {
                    found.inside++;
                    found.changed += differs;
                } else if (k === 0) {
                    found.darkest = Math.min(found.darkest, after[pixel]);
                    found.lightest = Math.max(found.lightest, after[pixel]);
                    if (differs) found.far += !around.some((dx) => around.some((dy) => inMask(dx, dy)));
                }
            }
        }
    }
    return found;
}"""


@pytest.mark.parametrize("scale", [1, 1.5])
def test_the_outline_changes_no_pixel_of_the_object_and_shows_on_any_colour(open_player: Open, scale: float) -> None:
    """Pixel by pixel, as the mask is decoded here and as the canvas is: small, ragged, holed, at the frame's edges."""
    page = open_player(device_scale_factor=scale, viewport={"width": 230, "height": 400})
    rng = np.random.default_rng(11)
    ragged = np.kron(rng.random((27, 48)) < 0.3, np.ones((2, 2))).astype(int)
    ring = np.zeros((54, 96), int)
    ring[10:40, 20:60] = 1
    ring[18:30, 30:50] = 0
    dot, corner, wide = (np.zeros((54, 96), int) for _ in range(3))
    dot[30, 40] = 1
    corner[:20, :30] = 1
    wide[20:, :] = 1
    big = np.kron(ring, np.ones((6, 6))).astype(int)  # a mask of more pixels than the canvas has
    cases = [(mask, "#888", "outline", 0) for mask in (ragged, dot, corner, wide, big)]
    cases += [(ring, colour, "outline", 0) for colour in ("#fff", "#000")]
    cases += [(ragged, "#888", "outline", 3), (ring, "#888", "spotlight", 0)]
    for mask, ground, style, zoom in cases:
        counts = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
        found = page.evaluate(CHANGED, [mask.tolist(), counts, ground, style, zoom])
        assert found["inside"] > 0
        assert found["changed"] == 0, (mask.shape, mask.sum(), ground, style, zoom)
        if style == "outline":
            assert found["far"] == 0 or zoom
            assert (found["darkest"], found["lightest"]) == (0, 255)


def test_masks_decode_as_pycocotools_does_and_outlines_enclose_them(open_player: Open) -> None:
    page = open_player()
    rng = np.random.default_rng(7)
    sizes = rng.integers(1, 40, (50, 2))
    masks = [rng.random((height, width)) < (n % 5) / 4 for n, (height, width) in enumerate(sizes)]
    masks.append(np.kron(rng.random((9, 16)) < 0.4, np.ones((61, 47))) > 0)  # long runs: several characters a number
    rles = [coco.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]
    sent = [{"size": list(mask.shape), "counts": rle["counts"].decode()} for mask, rle in zip(masks, rles, strict=True)]
    pixels = ["".join(map(str, mask.astype(int).ravel())) for mask in masks]
    assert page.evaluate("(sent) => sent.map(decode)", sent) == pixels
    few = list(zip(pixels, sent, strict=True))[:30]
    assert page.evaluate("(few) => few.map(([text, {size}]) => outlined(text, size))", few) == pixels[:30]


def test_a_damaged_mask_is_an_error_with_its_frame(open_player: Open) -> None:
    page = open_player()
    for counts in ("", "a", "PPYo1\u2603", "52"):
        message = page.evaluate(
            """(counts) => player.load(video, {...masks, rles: masks.rles.with(2, counts)}).then(() => '', String)""",
            counts,
        )
        assert message.startswith("Error: frame 8: a mask is damaged")


def test_a_slow_chunk_stalls_the_clock(open_player: Open, server: Served) -> None:
    there = server.held["/chunks/rest24.bin"] = threading.Event()
    page = open_player()
    page.evaluate("player.seek(16)")
    page.evaluate("player.play()")
    page.wait_for_selector(".player-stage[data-waits]")
    waiting = page.evaluate("watch(600)")
    assert waiting["faults"] == []
    stalled = waiting["seen"][-1]
    assert stalled <= 24  # 25 to 27 are on their way
    assert page.get_attribute(".player-stage", "data-waits") in {f"loading frame {k}" for k in (25, 26, 27)}
    page.evaluate("() => { window.watched = watch(1200); }")
    there.set()
    after = page.evaluate("watched")
    assert after["faults"] == []
    came = next(k for k in after["seen"] if k > stalled)
    assert 25 <= came <= 30  # about where it stood, not where it would be by now


def test_pictures_kept_stay_within_the_limit(open_player: Open) -> None:
    limit = 9 * FRAME_BYTES
    page = open_player(f"limit={limit}")
    page.evaluate("""() => {
        const close = ImageBitmap.prototype.close;
        window.dropped = 0;
        ImageBitmap.prototype.close = function () {
            window.dropped++;
            close.call(this);
        };
    }""")
    most, faults = page.evaluate(
        """async () => {
            let most = 0;
            const faults = [];
            for (const k of [90, 3, 50, 51, 52, 8, 70, 71, 4, 99]) {
                player.seek(k);
                await presented(k);
                await watch(60);
                most = Math.max(most, player.used.bytes);
                faults.push(wrong());
            }
            player.seek(0);
            player.play();
            faults.push(...(await watch(1000)).faults);
            return [Math.max(most, player.used.bytes), faults.filter(Boolean)];
        }"""
    )
    assert faults == []
    assert FRAME_BYTES < most <= limit
    assert page.evaluate("dropped") > 20
    assert page.evaluate("player.frame") > 10  # it played nevertheless


def test_the_picture_on_the_canvas_is_never_dropped(open_player: Open, server: Served) -> None:
    server.held["/chunks/rest0.bin"] = threading.Event()
    page = open_player(f"limit={2 * FRAME_BYTES}")
    for frame in (9, 13, 17):  # none of them comes, only their annotated neighbours do
        page.evaluate("(k) => { player.seek(k); return watch(200); }", frame)
    page.set_viewport_size({"width": 500, "height": 600})
    page.evaluate("frame().then(frame)")
    assert page.evaluate("[player.presented.frame, wrong()]") == [4, ""]


def test_light_mode_fetches_and_shows_annotated_frames_only(open_player: Open, server: Served) -> None:
    page = open_player("light")
    page.keyboard.press("Alt+.")
    waits_for(page, 8)
    page.evaluate("player.seek(30)")
    waits_for(page, 28)
    page.evaluate("player.play()")
    played = page.evaluate("watch(1500)")
    assert played["faults"] == []
    assert set(played["seen"]) <= set(ANNOTATED)
    assert 6 <= len(played["seen"]) <= 11  # 6 a second
    assert [path for path in server.asked if "rest" in path] == []


def test_the_slider_works_by_keyboard_and_pointer(open_player: Open) -> None:
    page = open_player()
    slider = page.get_by_role("slider", name="Frame")
    slider.focus()
    for key, frame in (
        ("ArrowRight", 8),
        ("PageUp", 18),
        ("ArrowLeft", 16),
        ("PageDown", 6),
        ("End", 101),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        waits_for(page, frame)
        assert slider.get_attribute("aria-valuenow") == str(frame)
    assert slider.get_attribute("aria-valuetext") == "frame 0 of 102, 0.00 s, not visible here"
    assert slider.get_attribute("aria-valuemax") == "101"
    spans = page.eval_on_selector_all(".player-span", "all => all.map((one) => parseFloat(one.style.left) * 1.02)")
    assert spans == pytest.approx([4, 52])
    box = slider.bounding_box()
    assert box
    page.mouse.click(box["x"] + 8 + (box["width"] - 16) * 60.5 / COUNT, box["y"] + 20)
    waits_for(page, 60)


def test_a_loop_goes_round(open_player: Open) -> None:
    page = open_player()
    go(page, 20)
    page.keyboard.press("[")
    go(page, 30)
    page.keyboard.press("]")
    assert page.inner_text(".player-notice") == "Loop from frame 20 to 30."
    played = page.evaluate("player.travel.setSpeed(2); player.play(); watch(1200)")
    assert played["faults"] == []
    assert set(played["seen"]) <= set(range(20, 31))
    assert played["seen"].count(20) >= 2
    page.keyboard.press("\\")
    page.evaluate("player.seek(96)")
    page.wait_for_function("() => !player.playing")  # to the end, where it stops
    assert page.evaluate("[player.presented.frame, wrong()]") == [101, ""]


@pytest.mark.parametrize("fault", [HTTPStatus.INTERNAL_SERVER_ERROR, b"\x06\0\0\0damaged"], ids=["status", "bytes"])
def test_a_broken_chunk_is_told_and_tried_again(open_player: Open, server: Served, fault: HTTPStatus | bytes) -> None:
    server.broken["/chunks/key0.bin"] = fault
    page = open_player(ready=False, allowed="500")
    alert = page.get_by_role("alert")
    alert.get_by_text("Frame 4 cannot be loaded").wait_for()
    until_s = time.monotonic() + 60
    while server.asked["/chunks/key0.bin"] < 2:  # by itself
        assert time.monotonic() < until_s
        page.wait_for_timeout(50)
    alert.wait_for()  # it rests while it is tried
    server.behave()
    alert.get_by_role("button", name="Try again").click()
    page.wait_for_selector("body[data-ready]")
    assert alert.is_hidden()
    assert page.evaluate("wrong()") == ""


def test_a_worker_that_does_not_start_is_started_again(open_player: Open, server: Served) -> None:
    server.broken["/static/player/worker.js"] = HTTPStatus.SERVICE_UNAVAILABLE
    page = open_player(ready=False, allowed="503")
    page.get_by_role("alert").get_by_text("a part of the player did not start").wait_for()
    server.behave()
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector("body[data-ready]")
    assert page.evaluate("wrong()") == ""


def test_the_network_coming_back_is_noticed(open_player: Open) -> None:
    page = open_player(allowed="ERR_INTERNET_DISCONNECTED")
    page.evaluate("watch(300)")
    page.context.set_offline(True)
    page.evaluate("player.seek(90)")
    page.get_by_role("alert").wait_for()
    assert page.evaluate("wrong()") == ""  # the frame before stays, and says which it is
    page.context.set_offline(False)
    waits_for(page, 90)
    assert page.get_by_role("alert").is_hidden()


def open_with_another(open_player: Open, server: Served) -> Page:
    """With `other`, a video of 24 frames; the picture of its frame k spells k + 100."""
    page = open_player()
    pictures = {k: jpeg(picture(k + 100)) for k in range(24)}
    parts = {"key": list(range(0, 24, 4)), "rest": [k for k in range(24) if k % 4]}
    server.files |= {f"/chunks/other_{part}.bin": pack({k: pictures[k] for k in ks}) for part, ks in parts.items()}
    chunks = [{"first": 0, "key": "/chunks/other_key.bin", "rest": "/chunks/other_rest.bin"}]
    other = {"frame_count": 24, "annotated": parts["key"], "chunks": chunks}
    page.evaluate("(other) => { window.other = {...video, ...other}; }", other)
    return page


def test_the_beginning_of_the_next_video_is_there_already(open_player: Open, server: Served) -> None:
    page = open_with_another(open_player, server)
    page.evaluate("player.prefetch(other); watch(500)")
    assert server.asked["/chunks/other_key.bin"] == server.asked["/chunks/other_rest.bin"] == 1
    page.evaluate("player.load(other, null, {frame: 20})")
    assert page.evaluate("read().picture") == 120
    assert server.asked["/chunks/other_key.bin"] == 1


def test_a_late_picture_of_the_video_before_is_not_shown(open_player: Open, server: Served) -> None:
    page = open_with_another(open_player, server)
    read = page.evaluate(
        """async () => {
            const read = [];
            for (let k = 0; k < 24; k++) {
                void player.load(video, masks, {frame: k});
                if (k % 2) await new Promise((resolve) => setTimeout(resolve, 2 * k));
                await player.load(other, null, {frame: k});
                read.push(window.read().picture);
                await watch(20);
                read.push(window.read().picture);
            }
            return read;
        }"""
    )
    assert read == [k + 100 for k in range(24) for _ in range(2)]


def test_the_blind_pass_points_on_annotated_frames_only(open_player: Open) -> None:
    page = open_player("blind")
    assert page.evaluate("[player.presented.mask, read().mask]") == [None, None]
    assert page.locator(".player-span").count() == 0
    assert page.get_by_role("button", name="Show mask").is_hidden()
    go(page, 9)
    page.evaluate("player.pointing(true)")
    waits_for(page, 8)
    assert page.inner_text("[role=status]") == "Moved to frame 8: points are set on annotated frames."
    canvas = page.locator("canvas")
    box = canvas.bounding_box()
    assert box
    canvas.click(position={"x": box["width"] * 0.25, "y": box["height"] * 0.75})
    page.evaluate("player.scene.zoomIn(); player.scene.zoomIn()")
    canvas.click(position={"x": box["width"] * 0.25, "y": box["height"] * 0.75})
    first, zoomed = page.evaluate("points")
    assert first == {"frame": 8, "x": pytest.approx(0.25, abs=0.005), "y": pytest.approx(0.75, abs=0.005)}
    expected = {axis: 0.5 + (first[axis] - 0.5) / 2.25 for axis in ("x", "y")}
    assert zoomed == {"frame": 8, **{axis: pytest.approx(at, abs=0.005) for axis, at in expected.items()}}

    page.evaluate("player.scene.zoomReset(); player.play()")
    page.evaluate("watch(200)")
    canvas.click()
    assert page.evaluate("[player.playing, player.frame % 4, points.length]") == [False, 0, 3]
    assert page.evaluate("points[2].frame === player.frame && player.presented.frame === player.frame")
    assert "Click again if the point is beside" in page.inner_text("[role=status]")

    canvas.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    assert page.inner_text("[role=status]") == "Crosshair 52% across, 60% down."
    page.keyboard.press("Enter")
    point = page.evaluate("points[3]")
    assert point == {"frame": page.evaluate("player.frame"), "x": pytest.approx(0.52), "y": pytest.approx(0.6)}
    page.evaluate("player.setPoints(points)")
    assert page.locator(".player-mark").count() == 4

    page.evaluate("player.pointing(false); player.setMasks(masks); player.seek(24)")
    waits_for(page, 24)
    assert page.evaluate("wrong()") == ""
    assert page.locator(".player-span").count() == 2


def test_outlines_are_numbered_on_their_frame(open_player: Open) -> None:
    page = open_player("blind")
    go(page, 8)
    bare = page.evaluate("read().mask")
    outlines = "[{choice: 0, frame: 8, size: masks.size, counts: masks.rles[2]}]"
    page.evaluate(f"player.setOutlines({outlines})")
    assert [bare, page.evaluate("read().mask")] == [None, 8]
    go(page, 12)
    assert page.evaluate("read().mask") is None
    go(page, 8)
    page.evaluate("player.setOutlines(null)")
    assert page.evaluate("read().mask") is None


def test_the_share_watched_only_grows(open_player: Open) -> None:
    page = open_player()
    shares = [page.evaluate("player.watchedFrac()")]
    for frame in (*ANNOTATED[::-1], 0):
        go(page, frame)
        shares.append(page.evaluate("player.watchedFrac()"))
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx(1 / 24)  # of frames 4 to 96
    assert shares[-1] == 1
    assert page.evaluate("player.load(video, masks).then(() => player.watchedFrac())") == shares[0]


def test_fingers_swipe_pinch_and_pan(open_player: Open) -> None:
    page = open_player(viewport=NARROW, has_touch=True, is_mobile=True)
    box = page.locator("canvas").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)

    def touch(*moments: list[tuple[float, float]]) -> None:
        for n, fingers in enumerate(moments):
            points = [{"x": x + dx, "y": y + dy, "id": finger} for finger, (dx, dy) in enumerate(fingers)]
            kind = "touchStart" if n == 0 else "touchMove"
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    touch([(40, 0)], [(0, 2)], [(-40, 3)])
    waits_for(page, 8)
    touch([(-40, 0)], [(0, 2)], [(40, 3)])
    waits_for(page, 4)
    whole = page.evaluate("read()")
    touch([(-20, 0), (20, 0)], [(-40, 0), (40, 0)], [(-60, 0), (60, 0)])
    zoomed = page.evaluate("read()")
    assert zoomed != whole
    touch([(60, 0)], [(0, 0)], [(-60, 0)])
    waits_for(page, 4)  # a drag moves the picture now
    page.evaluate("player.scene.zoomReset()")
    assert page.evaluate("wrong()") == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible_and_fits_a_narrow_screen(open_player: Open, scheme: str) -> None:
    page = open_player(viewport=NARROW, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    small = page.eval_on_selector_all(
        "button:not([hidden]), [role=slider]",
        """all => all.map((one) => one.getBoundingClientRect())
            .filter(({width, height}) => width && (width < 44 || height < 44))""",
    )
    assert small == []
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_every_action_has_a_key_that_may_be_changed(open_player: Open) -> None:
    page = open_player()
    actions = page.evaluate("ACTIONS.map(({name, defaultKey}) => [name, defaultKey])")
    assert {name for name, _ in actions} <= HOTKEY_ACTIONS
    check_hotkeys(dict(actions))
    play = page.get_by_role("button", name="Play")
    assert play.get_attribute("title") == "Play (Space)"
    page.evaluate("player.setKeys({play: 'P'})")
    assert play.get_attribute("title") == "Play (P)"
    play.click()
    assert page.get_by_role("button", name="Pause").is_visible()
    page.evaluate("player.destroy()")
    assert page.locator("#player *").count() == 0


def other_engines() -> dict[str, list[str]]:
    """Commands that open an address in a browser of another make, of those that are here; Debian's names of them."""
    webkit = next(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"), None)
    found = {}
    if shutil.which("firefox"):  # apt-get install firefox-esr
        found["Firefox"] = ["firefox", "--headless", "--no-remote", "--profile"]
    if webkit and shutil.which("xvfb-run"):  # apt-get install webkit2gtk-driver xvfb; it has no headless mode
        found["Safari"] = ["xvfb-run", "-a", str(webkit), "--private"]
    return found


@pytest.mark.parametrize("engine", ["Firefox", "Safari"])
def test_no_other_engine_shows_a_wrong_frame(engine: str, server: Served, tmp_path: Path) -> None:
    """Playwright drives none but its own builds of them, so the page tests itself and sends what it found."""
    command = other_engines().get(engine)
    if command is None:
        pytest.skip(f"no browser with the engine of {engine} here: see `other_engines`")
    address = f"{server.url}/pages/player_alone.html"
    profile = [str(tmp_path)] if engine == "Firefox" else []
    env = os.environ | {"WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1", "HOME": str(tmp_path)}  # containers are root
    server.asked.clear()
    browser = subprocess.Popen(
        [*command, *profile, address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=env,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 300
        while not (told := [path for path in list(server.asked) if path.startswith("/told/")]):
            assert time.monotonic() < end
            time.sleep(0.2)
    finally:
        os.killpg(browser.pid, signal.SIGTERM)
        browser.wait()
    found = json.loads(unquote(told[0].removeprefix("/told/")))
    assert engine in found["agent"]
    assert "Chrome" not in found["agent"]
    assert found["faults"] == []
    assert found["seen"] > 20
