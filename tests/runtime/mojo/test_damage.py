"""Files that are cut, flipped or forged, for every algorithm: nothing but the reader's own errors may come of them.

`test_small_models`, `test_tree_bytes` and the tests of single algorithms damage numbers in `model.ini`, and trees. Here
are the other entries: each is cut at many places, and bytes at these are changed; of the smallest it is all of them.
"""

from __future__ import annotations

import io
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.runtime.mojo.damage import Memory, entries_of
from tests.runtime.mojo.fuzz.trial import bounded_memory
from tests.runtime.mojo.matrix.kept import DATA as MATRIX
from tidegate.runtime.mojo import container
from tidegate.runtime.mojo.container import MODEL_INI, open_container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoRowError, MojoUnsupportedError
from tidegate.runtime.mojo.info import read_info
from tidegate.runtime.mojo.load import load, read

SMALL = Path(__file__).parent / "data" / "small"
#: Models, and the entries that are damaged: all of those whose name ends so.
_CASES: dict[str, tuple[Path, tuple[str, ...]]] = {
    "target encoder": (SMALL / "encoder_na_multi_inter.zip", (".ini",)),
    "target encoder, blended": (SMALL / "encoder_na_reg_blend.zip", (".ini",)),
    "word2vec": (SMALL / "word2vec.zip", ("vectors", "vocabulary", ".ini")),
    "isotonic": (MATRIX / "models" / "isotonic_clip.zip", ("thresholds_x", "thresholds_y", ".ini")),
    "calibration": (MATRIX / "models" / "gbm_calibrated_IsotonicRegression.zip", ("thresholds_x", "thresholds_y")),
    "cubic splines": (
        MATRIX / "models" / "gam_cubic_gaussian_identity.zip",
        ("knots", "zTranspose", "_binvD", "gam_columns_sorted"),
    ),
    "low rank": (SMALL / "glrm_loss_huber_ordinal.zip", ("archetypes", "losses", ".ini")),
    "components": (SMALL / "pca_na.zip", ("eigenvectors_raw", ".ini")),
    "proportional hazards": (SMALL / "coxph_strata_a.zip", ("x_mean_cat", "x_mean_num", ".ini")),
    "local models": (SMALL / "klime_all.zip", (".ini",)),
    "pipeline": (SMALL / "pipe_gbm_multi.zip", (".ini",)),
    "ensemble": (SMALL / "ensemble_bin_glm_logit_trees.zip", (".ini",)),
    "rules": (SMALL / "rulefit_multi_rules_and_linear.zip", (".ini",)),
    "vector machine": (SMALL / "svm_2_true_0_5.zip", (".ini",)),
}
#: Of an entry with more bytes only every n-th place is tried, so that each model takes a second or two.
_PLACES = 120
SECONDS = 5.0


@cache
def _entries(name: str) -> dict[str, bytes]:
    entries = entries_of(_CASES[name][0])
    # Without a limit: the first model of its kind may have to wait until its kernel is compiled.
    assert _scored(entries), "it cannot be read when it is whole"
    return entries


def _use(entries: dict[str, bytes]) -> bool:
    """Read a model and score rows with it. Returns whether it scored them; raises what no file may lead to."""
    began = time.process_time()
    scored = _scored(entries)
    assert time.process_time() - began < SECONDS
    return scored


def _scored(entries: dict[str, bytes]) -> bool:
    try:
        model = read(Memory(entries))
        for value in (np.nan, 0.0, 3.0):
            rows = np.full((2, model.builder.width), value)
            assert model.scores(rows, None).shape == (2, len(model.outputs))
    except MojoRowError:
        return True
    except (MojoFormatError, MojoUnsupportedError):
        return False
    return True


def _damaged(name: str, change: Callable[[bytes, int], bytes]) -> Iterator[dict[str, bytes]]:
    entries = _entries(name)
    chosen = [entry for entry in entries if entry.endswith(_CASES[name][1])]
    assert chosen
    budget = max(1, _PLACES // len(chosen))
    for entry in chosen:
        data = entries[entry]
        for place in range(0, len(data), max(1, len(data) // budget)):
            yield entries | {entry: change(data, place)}


@pytest.mark.parametrize("name", _CASES)
def test_entries_that_are_cut_off_are_refused_or_harmless(name: str) -> None:
    refused = sum(not _use(entries) for entries in _damaged(name, lambda data, place: data[:place]))
    assert refused


@pytest.mark.parametrize("bits", [0x01, 0x80, 0xFF])
@pytest.mark.parametrize("name", _CASES)
def test_bytes_that_are_changed_are_refused_or_harmless(name: str, bits: int) -> None:
    for entries in _damaged(name, lambda data, place: data[:place] + bytes([data[place] ^ bits]) + data[place + 1 :]):
        _use(entries)


@pytest.mark.parametrize("name", _CASES)
def test_entries_that_are_missing_empty_or_too_long_are_refused_or_harmless(name: str) -> None:
    entries = _entries(name)
    for entry in sorted(entries)[:: max(1, len(entries) // 20)]:
        _use({other: data for other, data in entries.items() if other != entry})
        _use(entries | {entry: b""})
        _use(entries | {entry: entries[entry] + b"\0" * 9})
        _use(entries | {entry: entries[entry] * 2})


@pytest.mark.parametrize("name", _CASES)
@pytest.mark.parametrize("value", ["2147483647", "-1", "999999999999", "1e300", "[]", "NaN"])
def test_numbers_of_any_size_take_no_more_memory_than_the_file_justifies(name: str, value: str) -> None:
    entries = _entries(name)
    for entry, data in entries.items():
        if not entry.endswith(MODEL_INI):
            continue
        lines = data.decode().split("\n")
        counted = [place for place, line in enumerate(lines) if line.partition(" = ")[2].isdigit()]
        for place in counted[:: max(1, len(counted) // 25)]:
            changed = [*lines]
            changed[place] = f"{lines[place].partition(' = ')[0]} = {value}"
            _use(entries | {entry: "\n".join(changed).encode()})


def test_an_ensemble_in_itself_is_refused() -> None:
    entries = _entries("ensemble")
    folder = next(name.rpartition("/")[0] for name in entries if name.endswith(f"/{MODEL_INI}"))
    deep = dict(entries)
    for depth in range(1, 8):
        prefix = f"{folder}/" * depth
        deep = {name: data for name, data in deep.items() if not name.startswith(prefix)}
        deep |= {prefix + name: data for name, data in entries.items()}
    with pytest.raises(MojoFormatError):
        read(Memory(deep))


def _zipped(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def test_a_zip_that_promises_more_than_deflate_can_is_refused(tmp_path: Path) -> None:
    path = _zipped(tmp_path / "bomb.zip", _entries("vector machine") | {"trees/t00_000.bin": b"\0" * 1000})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"trees/t00_000.bin") - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    struct.pack_into("<I", data, at + 24, 1 << 30)
    path.write_bytes(bytes(data))
    with pytest.raises(MojoFormatError, match="forged"):
        load(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_entries_that_are_packed_as_h2o_never_does_are_refused_unread(method: int, tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in _entries("vector machine").items():
            archive.writestr(name, data, method if name == MODEL_INI else zipfile.ZIP_DEFLATED)
    with pytest.raises(MojoFormatError, match=rf"model\.ini.*method {method}: expected deflate") as refused:
        load(path)
    assert refused.value.entry == MODEL_INI


@pytest.mark.parametrize("claimed", [10, 100_000])
def test_an_entry_of_another_size_than_the_directory_says_is_refused(tmp_path: Path, claimed: int) -> None:
    entries = _entries("vector machine")
    path = _zipped(tmp_path / "sizes.zip", entries)
    data = bytearray(path.read_bytes())
    at = data.rindex(MODEL_INI.encode()) - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    struct.pack_into("<I", data, at + 24, claimed)
    path.write_bytes(bytes(data))
    with pytest.raises(MojoFormatError):
        load(path)


def test_a_real_bomb_takes_no_more_memory_than_is_allowed(tmp_path: Path) -> None:
    # A gigabyte of zeros in a megabyte: as tight as deflate can, and more than the directory admits to.
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(64)), packer.flush()])
    path = _zipped(tmp_path / "bomb.zip", _entries("vector machine") | {"trees/t00_000.bin": b"x"})
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    out = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as made:
        for name in names:
            made.writestr(name, packed if name == MODEL_INI else archive.read(name))
    data = bytearray(out.getvalue())
    at = data.rindex(MODEL_INI.encode()) - 46
    struct.pack_into("<H", data, at + 10, zipfile.ZIP_DEFLATED)
    local = struct.unpack_from("<I", data, at + 42)[0]
    struct.pack_into("<H", data, local + 8, zipfile.ZIP_DEFLATED)
    struct.pack_into("<I", data, at + 24, 1000)
    path.write_bytes(bytes(data))
    with pytest.raises(MojoFormatError, match=MODEL_INI):
        load(path)


@contextmanager
def _little_used() -> Iterator[None]:
    """Let what a small file leads to have a bounded part of the memory and of the processor."""
    began = time.process_time()
    with bounded_memory():
        yield
    assert time.process_time() - began < SECONDS


_FOREST = MATRIX / "models" / "gbm_bernoulli.zip"
_MUCH = 64 << 20


@pytest.mark.parametrize(
    ("entry", "content"),
    [
        (MODEL_INI, lambda old: old + b"#\n" * (_MUCH // 2)),
        (MODEL_INI, lambda old: old.replace(b"[columns]", b"beta = [0" + b", 0" * (_MUCH // 3) + b"]\n[columns]")),
        ("domains/d002.txt", lambda old: old + b"a\n" * (_MUCH // 2)),
        ("trees/t00_000.bin", lambda _: bytes(_MUCH)),
        ("experimental/modelDetails.json", lambda _: b"[" + b"[]," * (_MUCH // 3) + b"[]]"),
    ],
    ids=["lines", "numbers", "levels", "tree", "details"],
)
def test_what_unpacks_to_a_thousand_times_its_size_is_refused_unread(
    entry: str, content: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    entries = entries_of(_FOREST)
    path = _zipped(tmp_path / "bomb.zip", entries | {entry: content(entries[entry])})
    assert path.stat().st_size < 400_000
    with _little_used(), pytest.raises(MojoFormatError, match=r"unpacks to 6\d,\d{3},\d{3} bytes from") as raised:
        load(path)
    assert raised.value.entry == entry


def test_many_small_bombs_are_refused_as_one_large_one_is(tmp_path: Path) -> None:
    entries = entries_of(_FOREST) | {f"trees/t00_{number:03d}.bin": bytes(1 << 20) for number in range(20)}
    with _little_used(), pytest.raises(MojoFormatError, match="16 MiB in all"):
        load(_zipped(tmp_path / "bombs.zip", entries))


def _with_lines(count: int) -> bytes:
    return entries_of(_FOREST)[MODEL_INI] + b"#\n" * count


def _with_levels(count: int, said: int) -> dict[str, bytes]:
    return {
        MODEL_INI: f"[info]\nn_columns = 1\n[columns]\na\n[domains]\n0: {said} d.txt\n".encode(),
        "domains/d.txt": b"aa\n" * count,
    }


@pytest.mark.parametrize("said", [5_000_000, 5_000_001])
def test_as_many_levels_as_a_small_file_may_have_take_bounded_memory(said: int, tmp_path: Path) -> None:
    path = _zipped(tmp_path / "levels.zip", _with_levels(5_000_000, said))
    assert path.stat().st_size < 100_000
    with _little_used():
        if said == 5_000_000:
            assert read_info(open_container(path)).domains == (("aa",) * said,)
            return
        # They are counted before they are made.
        with (
            bounded_memory(64 << 20),
            pytest.raises(MojoFormatError, match="has 5000000 levels, and line 6") as raised,
        ):
            read_info(open_container(path))
    assert raised.value.entry == "domains/d.txt"


def test_as_many_numbers_as_a_small_file_may_have_take_bounded_memory(tmp_path: Path) -> None:
    count = 5_000_000
    text = b"[info]\nn_columns = 0\nbeta = [0" + b", 0" * (count - 1) + b"]\n"
    path = _zipped(tmp_path / "numbers.zip", {MODEL_INI: text})
    with _little_used():
        assert not read_info(open_container(path)).keys.numbers("beta", count).any()


def test_more_lines_than_a_model_needs_are_refused(tmp_path: Path) -> None:
    path = _zipped(tmp_path / "lines.zip", {MODEL_INI: _with_lines(6_000_000)})
    with _little_used(), pytest.raises(MojoFormatError, match="more than 5,000,000 lines"):
        load(path)


def test_a_domain_that_columns_share_takes_no_more_memory_for_each() -> None:
    columns, levels = 1_000, 10_000
    names = "".join(f"c{number}\n" for number in range(columns))
    lines = "".join(f"{number}: {levels} d.txt\n" for number in range(columns))
    text = f"[info]\nn_columns = {columns}\n[columns]\n{names}[domains]\n{lines}"
    domain = "".join(f"{number}\n" for number in range(levels)).encode()
    with _little_used():
        info = read_info(Memory({MODEL_INI: text.encode(), "domains/d.txt": domain}))
        assert info.domains[-1] is info.domains[0]
        with pytest.raises(MojoFormatError, match=r"line 1007: domains/d\.txt: more than 20,000,000 levels"):
            read_info(Memory({MODEL_INI: text.replace(f": {levels} ", ": 10000000 ", 2).encode()}))


def test_a_text_in_a_folder_is_refused_by_its_size(tmp_path: Path) -> None:
    for entry in (MODEL_INI, "domains/d.txt"):
        folder = tmp_path / entry.replace("/", "-")
        for name, data in _with_levels(1, 1).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        with (folder / entry).open("r+b") as file:
            file.truncate(600 << 20)
        with _little_used(), pytest.raises(MojoFormatError, match="more than 512 MiB") as raised:
            read_info(open_container(folder))
        assert raised.value.entry == entry


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = _entries("vector machine")
    path = _zipped(tmp_path / "many.zip", entries | {f"{number}": b"" for number in range(50)})
    assert load(path).outputs
    monkeypatch.setattr(container, "MAX_ENTRIES", 50)
    with pytest.raises(MojoFormatError, match="more than 50 entries"):
        load(path)


def test_entries_that_lie_outside_are_never_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / MODEL_INI).write_text("[info]\n")
    (folder / "link").symlink_to(secret)
    opened = open_container(folder)
    for name in ("../secret.txt", str(secret), "link", "models/../../secret.txt", "\0"):
        assert not opened.has(name)
        with pytest.raises(MojoFormatError, match="missing"):
            opened.read(name)
    zipped = open_container(_zipped(tmp_path / "model.zip", {MODEL_INI: b"[info]\n", "../x": b"", "/abs": b""}))
    assert not zipped.has("x")
    assert not zipped.below("models").has("../model.ini")


def test_of_an_entry_that_is_there_twice_the_last_counts_as_for_every_other_reader(tmp_path: Path) -> None:
    entries = _entries("vector machine")
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MODEL_INI, b"[info]\nnothing")
        for name, data in entries.items():
            if name != MODEL_INI:
                archive.writestr(name, data)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(MODEL_INI, entries[MODEL_INI])
    assert load(path).outputs
