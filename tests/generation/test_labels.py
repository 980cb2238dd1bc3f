"""The class that `label=` names, by its name or its number."""

import logging

import pytest

from ddpm_cli.generation.labels import class_number, tell_label


@pytest.mark.parametrize(
    ("label", "classes", "name"),
    [
        (1, ["01", "02", "12"], "01"),
        ("2", ["001", "002", "x"], "002"),
        ("01", ["1", "2"], "1"),
        (1, ["1", "01"], "1"),
        (1, ["cat", "dog"], "dog"),
        (0, ["1st", "2nd"], "1st"),
        ("null", ["null", "all"], "null"),
        ('"all"', ["null", "all"], "all"),
        ("1e3", ["1e3", "true"], "1e3"),
        ('"true"', ["1e3", "true"], "true"),
    ],
)
def test_a_label_names_a_class_by_its_name_then_by_the_number_in_it(label, classes, name):
    assert classes[class_number(label, classes)] == name


@pytest.mark.parametrize(
    ("label", "classes", "message"),
    [
        (0, ["01", "02"], "label must be all, or one of the 2 classes (01, 02), but is 0"),
        (1, ["01", "001"], "label must be all, or one of the 2 classes (01, 001), but is 1"),
        (
            2,
            ["3", "cat", "dog"],
            "label must be all, or one of the 3 classes (3, cat, dog), but is 2",
        ),
        (
            "cow",
            ["cat", "dog"],
            "label must be all, or one of the 2 classes (cat, dog) or its number, but is 'cow'",
        ),
        (
            9,
            ["null", "all", "a b", "1e3"],
            "label must be all, or one of the 4 classes (null, all, a b, 1e3) or its number, but "
            """is 9; in quotes: 'label="null"', 'label="a b"', 'label="1e3"'""",
        ),
        (
            9,
            ["cat", "all"],
            "label must be all, or one of the 2 classes (cat, all) or its number, but is 9; "
            r"""in quotes: 'label="\"all\""'""",
        ),
    ],
)
def test_a_label_of_no_class_is_refused_with_the_names_and_their_quoting(label, classes, message):
    with pytest.raises(ValueError, match="label must be") as caught:
        class_number(label, classes)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("label", "classes", "texts"),
    [
        (1, ["01", "02"], ["label      1 is the class 01"]),
        (1, ["cat", "dog"], ["label      1 is the class dog"]),
        ("cat", ["cat", "dog"], []),
        ("all", ["cat", "dog"], []),
        (None, ["cat"], []),
        (
            None,
            ["null", "dog"],
            ["""label      null is no label; the class of this name is 'label="null"'"""],
        ),
        (
            "all",
            ["all", "dog"],
            [r"""label      all is every class; the class of this name is 'label="\"all\""'"""],
        ),
    ],
)
def test_the_screen_says_which_class_a_number_names(caplog, label, classes, texts):
    caplog.set_level(logging.INFO)
    tell_label(label, classes)
    assert [record.getMessage() for record in caplog.records] == texts


@pytest.mark.parametrize("value", ["true", "1e3", "nan"])
def test_a_value_that_is_no_text_is_refused_with_its_quoting(command, conditional, value):
    outcome = command("sample", f"ckpt={conditional}", f"label={value}", "n=1")
    assert outcome.code == 1
    assert """(as a text: 'label="..."')""" in outcome.err


def test_the_quoting_of_a_message_is_read_back_as_the_name():
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from ddpm_cli.generation.labels import quoted_label

    for name in ("null", "all", "a b", 'say "x"', "back\\slash", "日本", "1e3"):
        override = quoted_label(name)[1:-1]
        label = OverridesParser.create().parse_override(override).value()
        assert class_number(label, ["other", name]) == 1


def test_a_conditional_model_without_a_label_says_how_to_draw_classes(command, conditional):
    options = ["n=1", "sampler.steps=1", "hydra.run.dir=out"]
    outcome = command("sample", f"ckpt={conditional}", *options)
    told = "label      none, images without a class; label=all draws the classes in turn\n"
    assert outcome.out.count(told) == 1
    outcome = command("sample", f"ckpt={conditional}", *options[:2], "label=all")
    assert "without a class" not in outcome.out
