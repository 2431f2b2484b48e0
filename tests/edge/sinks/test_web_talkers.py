"""The live page with several voices, in a real browser."""

from __future__ import annotations

import pytest

from tests.edge.sinks.messages import several, talker
from tests.edge.sinks.test_web import estimate, send_and_see

pytest.importorskip("websockets")

BLUE, VERMILION, GREEN = "rgb(0, 114, 178)", "rgb(213, 94, 0)", "rgb(0, 158, 115)"  # Okabe, Ito


def markers(browser, picture):
    """Id, colour, opacity and place in the units of the picture, of its numbered marks."""
    found = browser.evaluate(
        f"[...document.querySelectorAll('#{picture} .marker')].map(group => {{"
        " const dot = group.querySelector('circle');"
        " return [Number(group.dataset.id), group.querySelector('text').textContent,"
        " getComputedStyle(dot).fill, Number(getComputedStyle(group).opacity),"
        " Number(dot.getAttribute('cx')), Number(dot.getAttribute('cy'))]; })"
    )
    return {number: tuple(rest) for number, *rest in found}


def legend(browser):
    """Text and colour of each line of the legend, and how far the bar goes, by id."""
    found = browser.evaluate(
        "[...document.querySelectorAll('#legend li[data-id]')].map(item =>"
        " [Number(item.dataset.id), item.innerText.replace(/\\s+/g, ' '),"
        " getComputedStyle(item.querySelector('.swatch')).backgroundColor,"
        " item.querySelector('meter').value])"
    )
    return {number: tuple(rest) for number, *rest in found}


def shown(browser, name):
    """Whether something of the page is to be seen."""
    box = f"document.getElementById('{name}').getBoundingClientRect()"
    return browser.evaluate(f"{box}.width > 0 && {box}.height > 0")


@pytest.fixture
def two_voices(web, browser):
    browser.open_live(web.url)
    send_and_see(web, browser, several(1.0, talker(7, 2, 90.0), talker(9, 1, -90.0, 45.0, 0.6)))
    return browser


@pytest.mark.slow
def test_a_browser_shows_two_voices_in_their_colours(web, two_voices):
    on_compass, on_map = markers(two_voices, "pointers"), markers(two_voices, "places")
    assert on_compass[7] == ("2", VERMILION, 1.0, pytest.approx(-90.0), pytest.approx(0.0))
    # Halfway up is halfway to the middle.
    assert on_compass[9] == ("1", BLUE, 1.0, pytest.approx(45.0), pytest.approx(0.0))
    assert on_map[7] == ("2", VERMILION, 1.0, 90.0, 140.0)  # of 360 times 280: left is left
    assert on_map[9] == ("1", BLUE, 1.0, 270.0, 70.0)
    assert legend(two_voices) == {
        9: (
            "1 talker 9 \N{MINUS SIGN}90°, +45° 90 degrees to the right, 45 degrees up 0.60",
            BLUE,
            0.6,
        ),
        7: ("2 talker 7 +90°, 0° 90 degrees to the left, level 0.90", VERMILION, 0.9),
    }
    assert list(legend(two_voices)) == [9, 7]  # by slot
    assert two_voices.evaluate("document.getElementById('voice').textContent") == "2 voices"
    assert two_voices.evaluate("document.getElementById('count').textContent") == "2"
    for name in ("pointer", "here", "azimuth"):  # of one voice
        assert not shown(two_voices, name)
    assert shown(two_voices, "who")
    label = two_voices.evaluate("document.getElementById('compass').getAttribute('aria-label')")
    assert label.startswith("Compass: talker 9 90 degrees to the right, 45 degrees up; talker 7")
    assert two_voices.problems == []


@pytest.mark.slow
def test_a_browser_keeps_trails_by_id_and_shows_silence(web, two_voices):
    newcomer = talker(10, 3, 0.0, confidence=0.5, tentative=True)
    send_and_see(web, two_voices, several(2.0, talker(7, 2, 80.0), newcomer))
    assert set(markers(two_voices, "pointers")) == {7, 10}
    assert markers(two_voices, "pointers")[10][:2] == ("3", GREEN)
    assert markers(two_voices, "pointers")[10][2] < 0.5  # paler
    assert "not certain yet" in legend(two_voices)[10][0]
    slots = "[...document.querySelectorAll('#legend li')].map(item => item.innerText.trim())"
    assert two_voices.evaluate(slots)[0].split() == ["1", "nobody"]  # whose place it was
    trail = (
        "[...document.querySelectorAll('#trail g')].map(group => [Number(group.dataset.id),"
        " group.children.length, getComputedStyle(group.firstChild).fill])"
    )
    assert sorted(two_voices.evaluate(trail)) == [[7, 2, VERMILION], [9, 1, BLUE], [10, 1, GREEN]]
    send_and_see(web, two_voices, several(3.0))
    assert markers(two_voices, "pointers") == {}
    assert legend(two_voices) == {}
    assert two_voices.evaluate("document.getElementById('voice').textContent") == "quiet"
    assert len(two_voices.evaluate(trail)) == 3
    send_and_see(web, two_voices, several(23.0))
    assert two_voices.evaluate(trail) == []  # 20 s later
    send_and_see(web, two_voices, estimate(24.0))  # a run of one voice at the same port
    assert shown(two_voices, "pointer")
    assert not shown(two_voices, "who")
    assert two_voices.problems == []


@pytest.mark.slow
def test_several_voices_come_back_from_history(web, browser):
    """A page that connects late draws what was before."""
    for number in range(30):
        web.send(several(1.0 + number / 6, talker(1, 1, 3.0 * number)))
    web.send({"time_s": 6.0, "event": "gap", "reason": "lost", "lost_s": 0.5})
    browser.open(web.url)
    browser.wait_for("document.querySelectorAll('#events li').length === 1")
    browser.wait_for("document.querySelectorAll('#trail [data-id=\"1\"] circle').length === 30")
    assert markers(browser, "places")[1][3] == pytest.approx(180.0 - 87.0)


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_several_voices_fit_a_phone(web, browser, dark):
    browser.size(360, 740, dark=dark, scale=2)
    browser.open(web.url)
    browser.wait_for("document.getElementById('link').textContent === 'connected'")
    talkers = [talker(100 + n, n, 170.0 - 80.0 * n, -30.0, 0.25 * n) for n in (1, 2, 3, 4)]
    send_and_see(web, browser, several(1.0, *talkers))
    assert browser.evaluate("document.documentElement.scrollWidth") <= 360
    assert len(legend(browser)) == 4
    assert len({colour for _, colour, _ in legend(browser).values()}) == 4
    unlabelled = browser.evaluate(
        "[...document.querySelectorAll('[role=img], section, meter')].filter(node =>"
        " !node.getAttribute('aria-label') && !node.getAttribute('aria-labelledby')).length"
    )
    assert unlabelled == 0
