"""What a stranger's text may hold is parsed in limits, or refused in a moment."""

import pytest

from ddpm_cli.config.plain_text import MOST_BYTES, bounded_text, plain_json, plain_yaml

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        "&a [*a]",
        "a: &a {b: *a}",
        "x: " + "[" * 5000 + "]" * 5000,
        "x: " + "{a: " * 60 + "1" + "}" * 60,
        "x: !!python/object/apply:os.system [true]",
        "x: " + "a" * 2**17,
        "x: [" + "1," * 10_001 + "]",
        "x: [1",
        "x: ${",
        "5",
        "x: \ufffd",
    ],
    ids="laughs self map deep maps tag long many half grammar number bytes".split(),
)
def test_yaml_that_is_not_plain_is_refused(text):
    with pytest.raises(ValueError, match=r".") as error:
        plain_yaml(text)
    assert len(str(error.value)) <= 200


def test_plain_yaml_has_the_numbers_of_omegaconf():
    assert plain_yaml("a: [1e-3, true, null]\nb: {c: x}\n") == {
        "a": [0.001, True, None],
        "b": {"c": "x"},
    }


@pytest.mark.parametrize("text", ["1" + "0" * 400, "-" + "9" * 20, "9" * 5000])
def test_whole_numbers_of_json_have_at_most_19_digits(text):
    with pytest.raises(ValueError, match=f"a whole number of {len(text)} digits"):
        plain_json(f'{{"value": [{text}]}}')
    assert plain_json("[-9223372036854775807]") == [-(2**63) + 1]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_json_that_is_nested_deep_is_refused(text):
    with pytest.raises(ValueError, match="nested too deep"):
        plain_json(text)


def test_a_file_larger_than_the_limit_is_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b" " * (MOST_BYTES + 1))
    with pytest.raises(ValueError, match=r"a.json' must have at most 4.0 MiB"):
        bounded_text(path)
    assert len(bounded_text(path, MOST_BYTES + 1)) == MOST_BYTES + 1
