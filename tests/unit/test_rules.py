"""Answer-set rules: what they see, what they may say, and what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline import rules
from pipeline.contract import SettingsError
from pipeline.rules import apply_rules, program_sha256, rule_sets, try_rules
from pipeline.rules_facts import FACTS, SAMPLE, facts_of
from tests.candidates import candidates_of, disc

SIZE = (200, 300)
RING_OF_DISCS = [
    disc(SIZE, 60, 60, 20),  # 0
    disc(SIZE, 150, 60, 20),  # 1
    disc(SIZE, 150, 60, 6),  # 2: inside 1
    disc(SIZE, 290, 100, 20),  # 3: cut by the right border
    disc(SIZE, 5, 150, 20),  # 4: cut by the left border
    disc(SIZE, 170, 70, 20),  # 5: overlaps 1
]


def effects_of(program: str) -> tuple[list[float], list[str], list[str]]:
    effects = apply_rules(candidates_of(RING_OF_DISCS, SIZE), program)
    return [round(float(b), 3) for b in effects.boosts], list(effects.rejected_by), list(effects.relabels)


def refusal_of(program: str) -> str:
    with pytest.raises(SettingsError) as caught:
        effects_of(program)
    return str(caught.value)


def test_facts_describe_each_candidate_in_whole_numbers() -> None:
    facts = set(facts_of(candidates_of(RING_OF_DISCS, SIZE)).splitlines())
    area = int(RING_OF_DISCS[0].sum())
    assert facts >= {
        "image(300,200).",
        f"median_area({int(np.median([m.sum() for m in RING_OF_DISCS]))}).",
        "candidate(0).",
        'type(0,"coin").',
        "score(0,800).",
        "quality(0,900).",
        "stability(0,900).",
        f"area(0,{area}).",
        "cx(0,60).",
        "cy(0,60).",
        "width(0,41).",
        "height(0,41).",
        "near(0,1,90).",
        "near(1,0,90).",
    }
    assert {f for f in facts if f.startswith("edge")} == {"edge(3).", "edge(4)."}
    assert {f for f in facts if f.startswith("inside")} == {"inside(2,1)."}


def test_overlap_facts_give_the_iou_of_the_masks_both_ways_round() -> None:
    facts = facts_of(candidates_of(RING_OF_DISCS, SIZE))
    a, b = RING_OF_DISCS[1], RING_OF_DISCS[5]
    iou = round(1000 * (a & b).sum() / (a | b).sum())
    assert f"overlaps(1,5,{iou})." in facts
    assert f"overlaps(5,1,{iou})." in facts
    assert "overlaps(0,1" not in facts


def test_near_facts_grow_with_the_number_of_candidates_not_its_square() -> None:
    dots = [disc(SIZE, 10 + 20 * (i % 14), 10 + 20 * (i // 14), 5) for i in range(120)]
    near = [f for f in facts_of(candidates_of(dots, SIZE)).splitlines() if f.startswith("near")]
    assert len(near) == 120 * 8


def test_a_program_may_speak_of_every_fact_that_there_could_be_and_of_no_other() -> None:
    made = facts_of(candidates_of(RING_OF_DISCS, SIZE)).splitlines()
    found = {f.partition("(")[0]: f.count(",") + 1 for f in made if not f.startswith("#")}
    assert found == FACTS
    told = "".join(f"seen :- {name}({','.join('_' * n)}). " for name, n in FACTS.items())
    apply_rules(candidates_of([], SIZE), told + "#defined other/1. reject(C, x) :- other(C).")


def test_rules_are_tried_on_a_sample_that_has_every_fact() -> None:

    sample = {name: values.count(",") + 1 for name, values in re.findall(r"(\w+)\((.*?)\)", SAMPLE)}
    assert sample == FACTS


@pytest.mark.parametrize("name", rule_sets())
def test_a_trial_takes_the_bundled_sets(name: str) -> None:
    try_rules(name)


@pytest.mark.parametrize(
    "program",
    ["{ best(C) : candidate(C) } = 1. reject(C, x) :- best(C).", ":- candidate(0).", "reject(500, x).",
     "boost(C, A) :- area(C, A)."],
)  # fmt: skip
def test_a_trial_does_not_judge_what_depends_on_the_image(program: str) -> None:
    try_rules(program)


@pytest.mark.parametrize(
    "program",
    [
        "p(X) :- near(_, _, X). p(X+1) :- p(X).",
        "{ in(P, 1..13) } = 1 :- P = 1..14. :- in(P, H), in(Q, H), P < Q.",
    ],
)
def test_a_trial_stops_endless_programs_sooner(program: str) -> None:
    with pytest.raises(SettingsError, match="need more than 2 s"):
        try_rules(program)


def test_type_names_cannot_break_out_of_their_quotes() -> None:
    name = 'a"). reject(0,"x'
    effects = apply_rules(candidates_of(RING_OF_DISCS[:1], SIZE, (name,)), "seen(T) :- type(_, T).")
    assert effects.rejected_by == ("",)


def test_boosts_add_up_and_stay_within_one() -> None:
    boosts, _, _ = effects_of("boost(0, 200). boost(0, 50). boost(1, -1000). boost(1, -900).")
    assert boosts == [0.25, -1.0, 0, 0, 0, 0]


def test_reject_and_relabel_carry_names_written_as_words_or_strings() -> None:
    _, rejected, relabels = effects_of('reject(C, cut) :- edge(C). relabel(0, "euro coin").')
    assert rejected == ["", "", "", "cut", "cut", ""]
    assert relabels == ["euro coin", "", "", "", "", ""]


def test_of_two_rules_that_reject_one_candidate_the_first_by_name_is_told() -> None:
    assert effects_of("reject(0, zebra). reject(0, ant).")[1][0] == "ant"


def test_effects_may_stand_in_pools_and_their_names_inside_of_other_atoms() -> None:
    assert effects_of("reject(0, x; 1, y). told(reject(0)).")[1][:2] == ["x", "y"]


@pytest.mark.parametrize("comment", ["% no #script here", '%* no\n "#include *%', 'a("no % #script here").'])
def test_comments_and_strings_may_name_what_is_refused(comment: str) -> None:
    assert effects_of(f"{comment}\nreject(0, x).")[1][0] == "x"


def test_the_digest_of_an_unknown_set_is_refused_as_settings_are() -> None:
    with pytest.raises(SettingsError, match=r"^config\.symbolic_reasoning\.rules: want rules text or one of"):
        program_sha256("no_such_set")


def test_what_is_denied_has_no_effect() -> None:
    assert effects_of("-reject(0, a). -boost(1, 500). -relabel(2, b).") == ([0] * 6, [""] * 6, [""] * 6)
    assert effects_of("-reject(C, cut) :- C = 3. reject(C, cut) :- edge(C), not -reject(C, cut).")[1][
        3:5
    ] == [
        "",
        "cut",
    ]


def test_a_program_may_choose_the_best_by_minimizing() -> None:
    program = """
        { keep(C) } :- candidate(C).
        :- keep(A), keep(B), overlaps(A, B, _), A < B.
        #maximize { A - C, C : keep(C), area(C, A) }.
        reject(C, crowded) :- candidate(C), not keep(C).
    """
    assert effects_of(program)[1] == ["", "", "crowded", "", "", "crowded"]


@pytest.mark.parametrize(
    "program",
    [
        "1 { reject(0..1, x) } 1. #minimize { 1, C : reject(C, _) }.",
        "{ reject(C, x) : edge(C) } = 1. #maximize { 5 }.",
        "{ best(0; 1) } = 1. boost(C, 10) :- best(C). #maximize { A, C : best(C), area(C, A) }.",
        "{ p(1..3) } = 1. reject(X, x) :- p(X). { q }. relabel(0, a) :- q. #maximize { X@2 : p(X) }.",
    ],
    ids=["the cost ties", "the cost is fixed", "equal areas", "a choice that costs nothing"],
)
def test_several_best_answers_are_refused_where_their_effects_differ(program: str) -> None:
    assert re.search("want one best answer, got several with other effects", refusal_of(program))


@pytest.mark.parametrize(
    ("program", "rejected"),
    [
        ("{ p(1..3) } = 1. #minimize { 1, X : p(X) }. reject(0, x).", 0),
        ("{ p(1..3) } = 1. #minimize { X : p(X) }. reject(X, x) :- p(X).", 1),
        ("{ p(1..3) } = 1. #maximize { X@2 : p(X) }. { q }. #minimize { 1@1 : q }. reject(X, x) :- p(X).", 3),
        ("{ a }. b ; c. reject(2, x).", 2),
        ("{ z(1..400) }. #minimize { 1 : not z(1) }. reject(1, x).", 1),
    ],
)
def test_answers_that_have_the_same_effects_are_one(program: str, rejected: int) -> None:
    assert effects_of(program)[1] == ["x" if i == rejected else "" for i in range(6)]


def test_an_empty_image_is_a_result() -> None:
    effects = apply_rules(candidates_of([], SIZE), "reject(C, cut) :- edge(C).")
    assert effects.boosts.shape == (0,)


def test_effects_name_the_program_they_follow_from() -> None:
    effects = apply_rules(candidates_of(RING_OF_DISCS, SIZE), "typical_size")
    assert effects.program_sha256 == program_sha256("typical_size") != program_sha256("counting_frame")


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        ("reject(C, x) :- edge(C) edge(C).", "line 1:.*syntax error"),
        ("reject(C, x).", "line 1.*unsafe"),
        ("#script (python)\nimport os\n#end.", "#script is not allowed"),
        ('#include "/etc/passwd".', "#include is not allowed"),
        ('a("\\"%"). #script (python)\n#end.', "#script is not allowed"),
        ('%* % *% #include "/etc/passwd".', "#include is not allowed"),
        ('%* %* *% " *% #script (python)\nimport os\n#end. % "', "not allowed: #script"),
        ('%* %* *% " *% #include "/etc/passwd". % "', "line 1:.* could not be opened"),
        ("reject(0, @system(1)).", "external functions are not allowed: @system"),
        ("x :- 1 = #sum { @f(C) : candidate(C) }.", "external functions are not allowed: @f"),
        ("#external a.", "not allowed: #external"),
        ("#theory t { x {}; &d/0: x, any }.", "not allowed: #theory"),
        ("#program other. reject(0, x).", "not allowed: #program other"),
        ("a. :- a.", "contradict each other"),
        ("reject(C, x) :- edge(C).\nreject(C, x) :- nosuch(C).", r"line 2:17-26: atom .* nosuch\(C\): want"),
        ("reject(C, x) :- candidate(C), edge(C, 1).", r"line 1:31-41: atom .* edge\(C,1\): want"),
        ("{ reject(0, x) }.", "several"),
        ("a.\n  reject(0).", r"line 2:3: want reject\(C, name\), got reject\(0\)"),
        ("{ boost } :- edge(_). ", r"line 1:3: want boost\(C, P\), got boost"),
        ("-relabel(0, a, b).", r"want relabel\(C, name\), got relabel\(0,a,b\)"),
        ("reject(0; 1, x).", r"want reject\(C, name\), got reject\(0\)"),
        ("a :- #count { C : candidate(C), not reject(C) } > 3.", r"want reject\(C, name\), got reject\(C\)"),
        ("reject(6, x).", "want a candidate from 0 to 5"),
        ("reject(coin, x).", "want a candidate"),
        ("boost(0, 1001).", "whole number from -1000 to 1000"),
        ("boost(0, high).", "whole number from -1000 to 1000"),
        ("reject(0, 7).", "want a name"),
        (f"reject(0, {'x' * 61}).", "want a name"),
        (r'reject(0, "a\nb").', r"'reject\(0,a\\nb\)': want a name of 1 to 60 printable characters"),
        ('relabel(0, "a\u202eb").', r"a\\u202eb\)': want a name"),
        ("relabel(0, a). relabel(0, b).", "two labels for candidate 0: a and b"),
        ("boost(C, 1..999) :- candidate(C).", "want at most 140 effects"),
        ("% " + "x" * 20_000, "at most 20000 characters"),
        ("a.\0 #script", "control character '.x00'"),
        ("a(\ud800).", "control character"),
        ("no_such_set", "one of counting_frame, parts_name_wholes, typical_size"),
    ],
)
def test_wrong_programs_are_refused_with_the_reason(program: str, complaint: str) -> None:
    text = refusal_of(program)
    assert text.startswith("config.symbolic_reasoning.rules: ")
    assert re.search(complaint, text), text


@pytest.mark.parametrize(
    "program",
    [
        "p(0). p(X+1) :- p(X).",
        "1 { in(P, H) : H = 1..13 } 1 :- P = 1..14. :- in(P, H), in(Q, H), P < Q.",
    ],
    ids=["endless grounding", "endless search"],
)
def test_endless_programs_are_stopped(program: str) -> None:
    start = time.perf_counter()
    assert "need more than" in refusal_of(program)
    assert time.perf_counter() - start < 15


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("sys.exit(3)", r"the solver crashed on these rules \(status 3\)"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"the solver crashed on these rules \(signal 11\)"),
        ("sys.stdin.close(); os.abort()", r"the solver crashed on these rules \(signal 6\)"),
        ("os.kill(os.getpid(), signal.SIGXCPU)", "the rules need more than 5 s"),
        ("signal.pause()", "the rules need more than 5 s"),
        ("print('x' * 10**6)", "the answer is longer"),
    ],
)
def test_a_crash_of_the_solver_is_told_from_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, told: str
) -> None:
    (tmp_path / "sandbox.py").write_text(f"import os, signal, sys\n{ending}\n")
    monkeypatch.setattr(rules, "_SANDBOX", tmp_path / "sandbox.py")
    monkeypatch.setattr(rules, "WALL_S", 3.0)
    assert re.search(told, refusal_of("reject(0, x)."))


def test_comparing_digests_of_rules_loads_nothing_heavy() -> None:
    code = "import pipeline.rules, sys; print(*{'scipy', 'clingo', 'torch', 'cv2'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""


def test_the_sandbox_can_open_and_write_no_files_and_take_no_more_memory(tmp_path: Path) -> None:
    code = (
        "import sys, runpy; limits = runpy.run_path(sys.argv[1])['limit_process']; limits(5, 2**30)\n"
        "for mode in ('r', 'w'):\n"
        "    try: open(sys.argv[2], mode); print('opened')\n"
        "    except OSError as error: print(error.errno)\n"
        "try: bytearray(2**30); print('allocated')\n"
        "except MemoryError: print('no memory')\n"
    )
    sandbox = Path("pipeline/rules_sandbox.py").absolute()
    target = tmp_path / "file"
    target.write_text("secret")
    out = subprocess.run([sys.executable, "-c", code, sandbox, target], capture_output=True, text=True)
    assert out.stdout.split() == ["24", "24", "no", "memory"]  # EMFILE, twice
    assert target.read_text() == "secret"


@pytest.mark.parametrize("name", rule_sets())
def test_every_bundled_rule_set_runs_on_an_empty_and_on_a_full_image(name: str) -> None:
    apply_rules(candidates_of([], SIZE), name)
    apply_rules(candidates_of(RING_OF_DISCS, SIZE), name)


def test_the_counting_frame_keeps_left_and_top_and_drops_right_and_bottom() -> None:
    cut = [disc(SIZE, 0, 90, 15), disc(SIZE, 90, 0, 15), disc(SIZE, 299, 90, 15), disc(SIZE, 90, 199, 15)]
    effects = apply_rules(candidates_of([*cut, disc(SIZE, 150, 100, 15)], SIZE), "counting_frame")
    assert effects.rejected_by == ("", "", "counting_frame", "counting_frame", "")


def test_typical_size_drops_specks_and_blobs_and_trusts_the_usual() -> None:
    usual = [disc(SIZE, 30 + 40 * i, 40, 12) for i in range(5)]
    odd = [disc(SIZE, 30, 100, 4), disc(SIZE, 150, 140, 40), disc(SIZE, 250, 140, 19)]
    effects = apply_rules(candidates_of(usual + odd, SIZE), "typical_size")
    assert effects.rejected_by == ("",) * 5 + ("typical_size", "typical_size", "")
    np.testing.assert_allclose(effects.boosts, [0.1] * 5 + [0, 0, 0])


def test_parts_name_wholes_counts_wholes_and_tells_them_apart_by_their_parts() -> None:
    wholes = [disc(SIZE, 50 + 90 * i, 100, 35) for i in range(3)]
    parts = [disc(SIZE, 50, 100, 8), disc(SIZE, 125, 100, 8), disc(SIZE, 155, 100, 8)]
    effects = apply_rules(candidates_of(wholes + parts, SIZE), "parts_name_wholes")
    assert effects.relabels == ("with one part", "with many parts", "", "", "", "")
    assert effects.rejected_by == ("", "", "") + ("parts_name_wholes",) * 3


def test_a_thousand_candidates_are_reasoned_about_in_seconds() -> None:
    size = (260, 410)
    dots = [disc(size, 8 + 10 * (i % 40), 8 + 10 * (i // 40), 4) for i in range(1000)]
    candidates = candidates_of(dots, size)
    start = time.perf_counter()
    apply_rules(candidates, "typical_size")
    assert time.perf_counter() - start < 5
