"""The pieces of a page: escaped, told in words, and as small as they must be."""

from html.parser import HTMLParser
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ddpm_cli.rendering.html import (
    Frame,
    Markup,
    Section,
    chart,
    element,
    fitted,
    page,
    pairs,
    picture,
    slider,
    spread,
    table,
)
from ddpm_cli.rendering.html.markup import escaped

HOSTILE = "<script>alert(1)</script>\"'&$title\x00\u202e\udc80"


def png(side=8, noise=0):
    file = BytesIO()
    (Image.effect_noise((side, side), noise) if noise else Image.new("L", (side, side))).convert(
        "RGB"
    ).save(file, "PNG")
    return file.getvalue()


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
    read = Read(element("p", text, title=text).text)
    assert [name for name, _ in read.elements] == ["p"]
    assert read.words == read.of("p")[0]["title"]
    assert escaped(text).encode().decode() == escaped(text)


def test_a_text_that_can_be_printed_is_read_as_it_was():
    assert Read(element("p", "a < b & 'c' \"d\"\né").text).words == "a < b & 'c' \"d\"\né"


def test_what_cannot_be_printed_is_spelt_out():
    assert escaped("a\x00\u202e\udc80") == "a\\x00\\u202e\\udc80"


def test_hostile_words_are_no_markup_in_any_piece():
    pieces = [
        pairs({HOSTILE: HOSTILE}),
        table([HOSTILE], [[HOSTILE]], caption=HOSTILE, sortable=True),
        slider([Frame(png(), HOSTILE, HOSTILE)] * 2, HOSTILE, plays=True),
        chart({HOSTILE: ([1, 2], [1, 2]), "$\\frac$": ([1, 2], [2, 1])}, over=HOSTILE, alt=HOSTILE),
    ]
    read = Read(page(HOSTILE, [Section(HOSTILE, pieces)]))
    assert len(read.of("script")) == 1
    assert not [
        each for _, attributes in read.elements for each in attributes if each.startswith("on")
    ]


def test_a_page_has_headings_in_order_and_links_to_its_sections():
    read = Read(
        page(
            "A run",
            [
                Section("First", [element("p", "a")]),
                Section("Empty", []),
                Section("Last", [element("p", "b")]),
            ],
        )
    )
    links = [each["href"] for each in read.of("a")]
    assert [name for name, _ in read.elements if name in ("h1", "h2", "h3")] == ["h1", "h2", "h2"]
    assert links == ["#content", *[f"#{each['id']}" for each in read.of("h2")]]
    assert read.of("html") == [{"lang": "en"}]
    assert len(read.of("main")) == 1


def test_a_page_asks_for_nothing_outside_itself():
    text = page(
        "A run",
        [
            Section(
                "All",
                [
                    picture(png(), "black"),
                    chart({"loss": ([1, 2], [1, 2])}, over="step", alt="falls"),
                ],
            )
        ],
    )
    read = Read(text)
    sources = [each.get("src", each.get("xlink:href", "#")) for _, each in read.elements]
    assert "default-src 'none'; img-src data:;" in text
    assert all(each.startswith(("data:image/png;base64,", "#")) for each in sources)
    assert not read.of("link")


def test_a_table_has_names_of_rows_and_numbers_by_which_it_is_sorted():
    read = Read(
        table(
            ["run", "loss", "steps"],
            [["a", 0.123456, 1000], ["b", float("nan"), 10**400]],
            caption="Runs",
            sortable=True,
        ).text
    )
    assert [each.get("scope") for each in read.of("th")] == ["col"] * 3 + ["row"] * 2
    assert [each.get("data-value") for each in read.of("td")] == [
        "0.123456",
        "1000",
        None,
        str(10**400),
    ]
    assert read.words.startswith("Runsrunlossstepsa0.12351,000b10,000,")
    assert read.of("div") == [
        {"class": "scroll", "role": "region", "tabindex": "0", "aria-label": "Runs"}
    ]


def test_of_a_slider_the_last_picture_is_seen_without_a_script():
    read = Read(
        slider(
            [Frame(png(), f"step {step}", f"at {step}") for step in (1, 2, 3)], "Step", plays=False
        ).text
    )
    assert ["hidden" in each for each in read.of("img")] == [True, True, False]
    assert [each["alt"] for each in read.of("img")] == ["at 1", "at 2", "at 3"]
    assert "hidden" in read.of("div")[1]
    assert read.of("input")[0]["aria-valuetext"] == "step 3"


def test_one_picture_needs_no_slider():
    assert not Read(slider([Frame(png(), "step 1", "at 1")], "Step", plays=True).text).of("input")


def test_a_chart_is_one_picture_in_words_and_in_the_colours_of_the_page():
    text = chart(
        {"held_out": ([1, 2], [3.0, 2.0]), "training": ([1, 2], [float("nan"), 1.0])},
        over="step",
        alt="both fall",
    ).text
    assert text.startswith('<svg role="img" aria-label="both fall"')
    assert all(
        each in text
        for each in (
            "var(--line-0)",
            "var(--line-1)",
            "currentColor",
            ">held_out</text>",
            ">step</text>",
        )
    )
    assert "#0102" not in text
    assert len(text) < 20_000


def test_a_long_curve_is_a_small_drawing():
    assert (
        len(
            chart(
                {"loss": (range(50_000), [(7919 * step) % 1000 for step in range(50_000)])},
                over="step",
                alt="noise",
            ).text
        )
        < 300_000
    )


def test_pictures_that_fit_stay_as_they_are():
    assert fitted([png()] * 3, 10_000) == dict.fromkeys(range(3), png())


def test_pictures_that_do_not_fit_are_made_smaller_and_then_fewer():
    small = fitted([png(1000, noise=50)] * 3, 1_000_000)
    assert all(Image.open(BytesIO(each)).size == (800, 800) for each in small.values())
    assert 4 * sum(map(len, small.values())) // 3 < 1_000_000
    assert max(small) == 2
    assert fitted([png(100, noise=50)] * 6, 60_000).keys() == set(range(6))


@pytest.mark.parametrize(
    ("total", "count", "places"),
    [(0, 5, []), (1, 5, [0]), (5, 1, [4]), (5, 2, [0, 4]), (4, 9, [0, 1, 2, 3])],
)
def test_places_are_spread_and_the_last_is_among_them(total, count, places):
    assert spread(total, count) == places


def test_markup_is_taken_as_it_is():
    assert element("p", Markup("<b>a</b>")).text == "<p><b>a</b></p>"
