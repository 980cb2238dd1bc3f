"""The pieces of a page: escaped, told in words, and as small as they must be."""

import base64
import hashlib
from html.parser import HTMLParser
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup
from PIL import Image

from ddpm_cli.even_indices import evenly_spaced, first_to_last
from ddpm_cli.rendering.html import chart, fit_picture, fit_pictures
from ddpm_cli.rendering.html.page import ENVIRONMENT

MACROS = '{% import "rendering/html/macros.html" as html %}'
HOSTILE = "<script>alert(1)</script>\"'&$title\x00\u202e\udc80"


def png(side=8, noise=0):
    file = BytesIO()
    (Image.effect_noise((side, side), noise) if noise else Image.new("L", (side, side))).convert(
        "RGB"
    ).save(file, "PNG")
    return file.getvalue()


def rendered(template, /, **content):
    """A template with the macros at hand, filled with content."""
    return ENVIRONMENT.from_string(MACROS + template).render(content)


def page(title, sections):
    return ENVIRONMENT.get_template("rendering/html/page.html").render(
        title=title, sections=sections, columns=[[], []]
    )


def film(pictures):
    call = "{{ html.film(pictures, 'Step', 'Image at', 'a caption') }}"
    return Read(rendered(call, pictures=pictures))


def newest(samples, nearest=None):
    call = "{% call html.newest(samples, nearest, 'a caption') %}<p>flat</p>{% endcall %}"
    return Read(rendered(call, samples=samples, nearest=nearest))


class Read(HTMLParser):
    """The elements of a text with their attributes, and what stands between them."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += data

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@settings(max_examples=25, deadline=None)
@given(st.text())
def test_a_text_stays_a_text(text):
    written = rendered('<p title="{{ text }}">{{ text }}</p>', text=text)
    read = Read(written)
    assert [name for name, _ in read.elements] == ["p"]
    assert read.words == read.of("p")[0]["title"]
    assert written.encode().decode() == written


def test_a_text_that_can_be_printed_is_read_as_it_was():
    text = "a < b & 'c' \"d\"\né"
    assert Read(rendered("{{ text }}", text=text)).words == text


def test_what_cannot_be_printed_is_spelt_out():
    assert rendered("{{ text }}", text="a\x00\u202e\udc80") == "a\\x00\\u202e\\udc80"


def test_hostile_words_are_no_markup_in_any_piece():
    pieces = """{{ html.definitions({hostile: hostile}) }}
    {{ html.table([hostile], [[hostile], [[hostile]]], hostile, [hostile, ""]) }}
    {{ html.film({hostile: png, "last": png}, hostile, hostile, hostile) }}
    {% call html.newest({hostile: png, "last": png}, png, hostile) %}{{ hostile }}{% endcall %}
    {{ html.figure(png, hostile) }}{{ html.commands({hostile: hostile}) }}
    {{ html.listing([hostile], hostile) }}{{ html.listing([], hostile) }}{{ chart }}"""
    lines = {HOSTILE: ([1, 2], [1, 2]), "$\\frac$": ([1, 2], [2, 1])}
    drawing = chart(lines, over=HOSTILE, alt=HOSTILE)
    body = Markup(rendered(pieces, hostile=HOSTILE, png=png(), chart=drawing))
    read = Read(page(HOSTILE, [[HOSTILE, body]]))
    assert len(read.of("script")) == 1
    assert {"dl", "table", "input", "figure", "pre", "li", "svg"} <= {
        tag for tag, _ in read.elements
    }
    assert not [
        each for _, attributes in read.elements for each in attributes if each.startswith("on")
    ]


def test_a_page_has_headings_in_order_and_links_to_its_sections():
    sections = [
        ["First", Markup("<p>a</p>")],
        ["Empty", Markup("\n")],
        ["Last", Markup("<p>b</p>")],
    ]
    read = Read(page("A run", sections))
    links = [each["href"] for each in read.of("a")]
    assert [name for name, _ in read.elements if name in ("h1", "h2", "h3")] == ["h1", "h2", "h2"]
    assert links == ["#content", *[f"#{each['id']}" for each in read.of("h2")]]
    assert [each["aria-labelledby"] for each in read.of("section")] == [
        each["id"] for each in read.of("h2")
    ]
    assert read.of("html") == [{"lang": "en"}]
    assert len(read.of("main")) == 1


def test_a_page_asks_for_nothing_outside_itself():
    drawing = chart({"loss": ([1, 2], [1, 2])}, over="step", alt="falls")
    body = rendered("{{ html.figure(png, 'black') }}{{ chart }}", png=png(), chart=drawing)
    text = page("A run", [["All", Markup(body)]])
    read = Read(text)
    sources = [each.get("src", each.get("xlink:href", "#")) for _, each in read.elements]
    assert "default-src 'none'; img-src data:;" in text
    assert sum(each.startswith("data:image/png;base64,") for each in sources) == 1
    assert all(each.startswith(("data:image/png;base64,", "#")) for each in sources)
    assert not read.of("link")


def test_a_table_has_names_of_rows_and_numbers_by_which_it_is_sorted():
    rows = [["a", 0.123456, 1000], ["b", float("nan"), 10**400], ["c", None, "x"]]
    call = "{{ html.table(['run', 'loss', 'steps'], rows, 'Runs', ['', 'b/page.html']) }}"
    read = Read(rendered(call, rows=rows))
    assert [each.get("scope") for each in read.of("th")] == ["col"] * 3 + ["row"] * 3
    assert [each.get("data-value") for each in read.of("td")] == [
        *("0.123456", "1000"),
        *(None, str(10**400)),
        *(None, None),
    ]
    assert read.words.split()[:7] == [
        "Runs",
        "runlosssteps",
        "a",
        "0.1235",
        "1,000",
        "b",
        f"{10**400:,}",
    ]
    assert [each["href"] for each in read.of("a")] == ["b/page.html"]
    assert read.of("div") == [
        {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": "Runs"}
    ]


def test_a_gap_in_a_table_is_an_empty_cell():
    assert "<td></td>" in rendered("{{ html.table(['a', 'b'], [['c', none]], 'Gaps') }}")


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("javascript:alert(1)/a.html", "javascript%3Aalert%281%29/a.html"),
        ("a#b?c%41/é", "a%23b%3Fc%2541/%C3%A9"),
        ("\udcff\n", "%FF%0A"),
        ("/etc/x", ".//etc/x"),
    ],
)
def test_an_address_is_a_relative_path_without_a_meaning_of_its_own(path, address):
    table = "{{ html.table(['a'], [['x']], 'caption', [path]) }}"
    assert Read(rendered(table, path=path)).of("a")[0]["href"] == address


def test_only_the_script_of_the_page_is_allowed_by_its_hash():
    text = page("a title", [])
    (policy,) = (each["content"] for each in Read(text).of("meta") if "http-equiv" in each)
    script = text.partition("<script>")[2].partition("</script>")[0]
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = dict(each.strip().split(" ", 1) for each in policy.split(";"))
    assert rules["script-src"] == f"'sha256-{allowed}'"
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"


def test_of_samples_the_newest_are_seen_without_a_script():
    read = newest({f"step {step}": png() for step in (1, 2, 3)})
    assert ["hidden" in each for each in read.of("img")] == [True, True, False]
    assert [each["alt"] for each in read.of("img")] == [f"Samples at step {n}" for n in (1, 2, 3)]
    assert read.of("div")[1] == {"class": "controls", "hidden": ""}
    assert read.of("input")[0]["aria-valuetext"] == "step 3"
    assert not read.of("button")


def test_a_film_plays_by_a_button_and_its_last_picture_is_seen_without_a_script():
    read = film({"1": png(), "2": png()})
    assert read.of("figure") == [{"class": "slider", "data-plays": ""}]
    assert ["hidden" in each for each in read.of("img")] == [True, False]
    assert read.of("button") == [{"type": "button"}]


def test_one_picture_needs_no_slider_and_none_no_figure():
    assert not newest({"step 1": png()}).of("input")
    assert not film({"step 1": png()}).of("input")
    assert not film({}).elements
    assert [name for name, _ in newest({}).elements] == ["p"]


def test_the_nearest_training_images_stand_beside_the_newest_samples():
    read = newest({"step 1": png()}, nearest=png())
    assert read.of("div")[0] == {"class": "slider paired"}
    assert len(read.of("figure")) == 2
    assert newest({"step 1": png()}).of("div")[0] == {"class": "slider"}


def test_a_chart_is_one_picture_in_words_and_in_the_colours_of_the_page():
    lines = {"held_out": ([1, 2], [3.0, 2.0]), "training": ([1, 2], [float("nan"), 1.0])}
    text = chart(lines, over="step", alt="both fall")
    parts = ("var(--line-0)", "var(--line-1)", "currentColor", ">held_out</text>", ">step</text>")
    assert text.startswith('<svg role="img" aria-label="both fall"')
    assert all(each in text for each in parts)
    assert "#0102" not in text
    assert len(text) < 20_000


def test_a_long_curve_is_a_small_drawing():
    line = (range(50_000), [(7919 * step) % 1000 for step in range(50_000)])
    assert len(chart({"loss": line}, over="step", alt="noise")) < 300_000


def test_pictures_that_fit_stay_as_they_are():
    pictures = dict.fromkeys("abc", png())
    assert fit_pictures(pictures, 10_000) == pictures
    assert fit_picture(png(), 10_000) == png()


def test_pictures_that_do_not_fit_are_made_smaller_and_then_fewer():
    large, many = png(1000, noise=50), png(100, noise=50)
    small = fit_pictures(dict.fromkeys(range(3), large), 1_000_000)
    assert all(Image.open(BytesIO(each)).size == (800, 800) for each in small.values())
    assert 4 * sum(map(len, small.values())) // 3 < 1_000_000
    assert max(small) == 2
    assert fit_pictures(dict.fromkeys(range(6), many), 60_000).keys() == set(range(6))
    assert Image.open(BytesIO(fit_picture(large, 1_000_000))).size == (800, 800)


@pytest.mark.parametrize(
    ("total", "count", "places"),
    [(0, 5, []), (1, 5, [0]), (5, 1, [4]), (5, 2, [0, 4]), (4, 9, [0, 1, 2, 3])],
)
def test_places_are_spread_and_the_last_is_among_them(total, count, places):
    assert first_to_last(total, count) == places


@pytest.mark.parametrize(
    ("total", "count", "places"),
    [(5, 0, []), (5, 2, [0, 2]), (3, 3, [0, 1, 2]), (2, 4, [0, 0, 1, 1])],
)
def test_places_begin_equal_parts(total, count, places):
    assert evenly_spaced(total, count) == places


def test_markup_is_taken_as_it_is():
    assert rendered("<p>{{ text }}</p>", text=Markup("<b>a</b>")) == "<p><b>a</b></p>"
