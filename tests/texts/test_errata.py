"""E1 to E50: what `tinygrad-rnn bptt errata` computes, against the exact values, which are typed in here."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pytest
from pytest import approx

from tinygrad_rnn.app import cli
from tinygrad_rnn.texts import ERRATA, TEXTS, example, figures, formulas, report


def values(id: str) -> dict[str, Any]:
    return ERRATA[id].values


def figure(id: str, printed: Any, right: Any) -> None:
    """What is printed is not right, not even within the digits that are printed; what is right is right to 1e-12."""
    found = values(id)
    assert found["printed"] == printed
    assert found["right"] == approx(right, rel=0, abs=1e-12)
    assert np.abs(np.subtract(printed, found["right"])).max() > 5e-5


# ------------------------------------------------------------------ figures


def test_E1_tanh_was_misread():
    figure("E1", 0.4775, 0.477954805263452)
    assert values("E1")["of the printed z_3"] == approx(0.47793152, abs=5e-9)


def test_E2_o_3():
    figure("E2", 0.3820, 0.382363844210761)


def test_E3_the_third_square():
    found = values("E3")
    assert found["printed"] == 0.0789
    assert found["square"] == approx(0.079524, abs=1e-12) and found["right"] == approx(0.07972934, abs=5e-9)


def test_E4_the_loss():
    figure("E4", 0.0546, 0.0550102598206069)
    assert values("E4")["own"] == approx(0.0549, abs=5e-5)


def test_E5_the_output_s_gradients():
    figure("E5", (0.2820, 0.1014), (0.282363844210761, 0.101641770463448))


def test_E6_dh_3():
    figure("E6", 0.2256, 0.225891075368609)


def test_E7_a_product():
    assert values("E7")["right"] == approx(0.18335, abs=5e-6) and values("E7")["printed"] == 0.1830


def test_E8_dh_2():
    figure("E8", 0.2224, 0.196205409793266)
    assert values("E8")["percent"] == approx(13.4, abs=0.05)


def test_E9_dh_1():
    figure("E9", 0.0496, 0.0258929363601146)
    assert values("E9")["percent"] == approx(91.6, abs=0.05)


def test_E10_the_gradients_at_z():
    figure("E10", (0.0454, 0.2008, 0.1743), (0.0236955831133655, 0.17716984932344, 0.174288338330475))
    assert values("E10")["product"] == approx(0.1742, abs=5e-5)


def test_E11_dW_hh():
    figure("E11", 0.1128, 0.105898790696247)
    assert values("E11")["percent"] == approx(6.5, abs=0.05)


def test_E12_dW_xh():
    figure("E12", 0.1125, 0.0992801118212166)
    assert values("E12")["percent"] == approx(13.3, abs=0.05)


def test_E13_a_hundred_steps():
    found = values("E13")
    assert found["right"] == approx(7.5147951549704e-15, rel=1e-13)
    assert found["times"] == approx(13.31, abs=0.005) and found["first"] == 92
    assert figures.scalar_factor(91) == approx(1.04e-13, abs=5e-16)


# ------------------------------------------------------------------ formulas


def test_E14_the_recursion_is_the_cause_and_not_the_rounding():
    printed, right = values("E14")["printed"], values("E14")["right"]
    wrong = {"δh_2": 0.2229238150, "δh_1": 0.0500453125, "dL/dW_hh": 0.1129270643, "dL/dW_xh": 0.1127441004}
    assert printed == approx(wrong, abs=5e-11)
    assert right["δh_1"] == approx(0.0258929363601146, abs=1e-15)


def test_E15_the_slopes_left_out():
    found = values("E15")
    assert found["recursion"] > 0.1 and found["W_hh"] > 0.1 and found["corrected"] < 1e-12


def test_E15_holds_for_the_identity():
    net = formulas.ColumnRNN(tanh=False)
    tape = net.on_the_tape()
    for name, formula in net.by_formula(slopes=False).items():
        np.testing.assert_allclose(formula, tape[name], rtol=0, atol=1e-12)


def test_E16_rows_and_columns():
    found = values("E16")
    assert found["printed"].shape == (3, 2) and found["right"].shape == (2, 3)
    np.testing.assert_allclose(found["printed"].T, found["right"], rtol=0, atol=1e-12)


def test_E17_two_losses_under_one_name():
    assert values("E17")["right"] == approx(0.0366735065, abs=5e-11)
    assert values("E17")["factors"] == approx([2 / 3] * 3, abs=1e-15)


def test_E18_what_is_stacked():
    assert values("E18")["printed"] == "impossible" and values("E18")["right"] == (5, 3)


def test_E19_the_shapes_of_the_output():
    assert values("E19") == {"W_yh": (3, 5), "b_y": (5,), "o": (4, 5)}


def test_E20_the_outer_product():
    found = values("E20")
    assert found["printed"].shape == (5, 3) and found["right"].shape == (3, 5) and found["error"] < 1e-12


def test_E21_targets_that_do_not_sum_to_one():
    found = values("E21")
    np.testing.assert_allclose(found["formula"], found["right"], rtol=0, atol=1e-15)
    assert np.abs(found["printed"] - found["right"]).max() > 0.1


def test_E22_the_jacobian_of_columns():
    assert values("E22") == {"printed": [[0, 0.5], [0, 0]], "right": [[0, 0], [1, 0]]}


def test_E23_the_jacobian_transposed():
    assert values("E23") == {"printed": [[0, 0], [0.5, 0]], "right": [[0, 0.5], [0, 0]]}


def test_E24_the_order_of_the_product():
    found = values("E24")
    assert max(found["right"], found["ascending"]) < 1e-12
    rng = np.random.default_rng(0)
    W, us, h_0 = rng.normal(size=(4, 4)), rng.normal(size=(2, 4)), rng.normal(size=4)
    h_1 = np.tanh(W @ h_0 + us[0])
    h_2 = np.tanh(W @ h_1 + us[1])
    printed = W.T * (1 - h_2**2) @ (W.T * (1 - h_1**2))  # columns scaled: W^T diag(tanh')
    right = (W.T * (1 - h_1**2) @ (W.T * (1 - h_2**2))).T
    assert 0.1 < found["from_J"] == approx(np.abs(printed - right).max())
    assert 0.1 < found["from_JT"] == approx(np.abs(printed - right.T).max())


def test_E25_the_immediate_derivative():
    found = values("E25")
    assert found["total"] == approx(0.1471606663, abs=5e-11)
    assert found["immediate"] == approx(0.1058987907, abs=5e-11) == found["right"]


def test_E26_one_left_side_two_right_sides():
    paths, right = values("E26")["paths"], values("E26")["right"]
    assert sum(paths) == approx(right, abs=1e-15) and all(abs(path - right) > 0.01 for path in paths)


def test_E27_the_range_of_t():
    found = values("E27")
    assert found["printed"] == [2, 3, 4] and found["missing"] == "L_4" and found["right"] == [1, 2, 3]
    assert found["whole"] == approx(found["tape"], abs=1e-15) and abs(found["without"] - found["tape"]) > 0.01


def test_E28_one_factor_more():
    found = values("E28")
    assert found["norm"] == 2 > found["printed"] == 1 and found["norm"] <= found["right"]


def test_E29_the_singular_value():
    assert values("E29") == {"printed": 0, "right": approx(2), "norm": approx(2)}


def test_E30_the_four_terms_are_matrices():
    found = values("E30")
    assert found["printed"] > 0.1 and found["right"] < 1e-12 and found["scalar"] < 1e-15


def test_E31_four_terms_multiplied():
    found = values("E31")
    assert list(found["one"].values()) == approx([0.8902144303] * 3, abs=5e-11)
    assert found["right"] == approx(0.8767638158, abs=5e-11) == found["joint"]
    assert found["printed"] == approx(0.8132075395, abs=5e-11)
    assert min(found["off"]) > 0.02 and formulas.four_terms_off(1) < 1e-12


def test_E32_the_recursion_of_the_estimate():
    found = values("E32")
    assert found["mean"] == approx(found["exact"], abs=1e-12) == found["mean_printed"]
    assert found["right"] > 1.2 * found["printed"]


# ------------------------------------------------------------------ claims


def test_E33_the_norm_has_no_bound_of_one():
    assert values("E33") == {"step": 2, "steps": 1048576, "tanh": 1, "sigmoid": 0.25}


def test_E34_a_slope_of_one():
    assert values("E34")["right"] == 1


def test_E35_spectral_radius_zero_and_exploding():
    assert values("E35") == {"rho": 0, "norm": approx(1482910.400379, abs=5e-7)}
    assert values("E35")["norm"] == approx(2**20 * np.sqrt(2), rel=1e-14)


def test_E36_spectral_radius_two_and_vanishing():
    found = values("E36")
    assert found["right"] == approx(1.490658e-38, abs=5e-45)
    assert found["h"] == approx(0.9575040241, abs=5e-11) and found["factor"] == approx(0.1663720878, abs=5e-11)


def test_E37_minus_two():
    assert values("E37")["right"] == 1048576


def test_E38_growth_before_decay():
    found = values("E38")
    assert found["peak"] == approx(19.37876976, abs=5e-9) and found["at"] == 9 and found["below"] == 55
    assert found["fifty"] == approx(1.431623, abs=5e-7) and found["last"] == approx(7.838983e-07, abs=5e-14)


def test_E39_a_jordan_block():
    assert values("E39")["right"] == approx(100.00999900, abs=5e-9)


def test_E40_eigenvalues_do_not_multiply():
    assert values("E40") == {"rho": (0, 0), "right": approx(4)}


def test_E41_a_factor_changes():
    assert values("E41") == {"zero": 2, "two": approx(0.14130165, abs=5e-9), "negative": -2}


def test_E42_a_negative_lstm_factor():
    assert values("E42") == {
        "right": approx(-5.8417389614, abs=5e-11),
        "f": 0.5,
        "i": approx(0.88079708, abs=5e-9),
        "g": 0,
        "o": 0.5,
    }


def test_E43_relu_alone():
    found = values("E43")
    assert found["small"] == approx(8.881784e-16, abs=5e-23) and found["large"] == approx(6.376215e08, abs=50)
    assert found["inactive"] == 0 and found["identity"] == 1


def test_E44_exactly_zero():
    found = values("E44")
    assert found["full"] == approx(7.5147951549704e-15, rel=1e-12) and found["cut"] == 0


def test_E45_terms_inside_the_window():
    found = values("E45")
    assert (found["kept"], found["all"], found["window"], found["dropped"]) == (1050, 5050, 1810, 760)
    assert found["share"] == approx(0.4199, abs=5e-5) and found["lag19"] == 1 and found["reach"] == 9.5


def test_E46_learning_beyond_the_window():
    assert values("E46")["K"] == 5 and values("E46")["right"] == [100, 100, 100, 100]


def test_E47_a_vanilla_network_remembers():
    found = values("E47")
    assert found["T"] > 20 and found["irnn"] < 0.02 < found["guess"] / 2 < found["tanh"]


def test_E48_when_powers_align():
    found = values("E48")
    assert found["general"] == approx(1, abs=1e-12)
    assert found["orthogonal"] == 0 and found["second"] == approx(1, abs=1e-12)
    assert found["no_gap"] == approx([np.sqrt(0.5)] * 2)
    assert found["sign"] == approx([1, -1])
    turned = np.pi / 4 + np.arctan2(0.8, 0.6) * np.array([40, 41])  # from (1, 1), 40 and 41 turns further
    assert found["rotation"] == approx(np.cos(turned)) and abs(np.subtract(*found["rotation"])) > 0.1


def test_E49_clipping_here_and_in_torch():
    found = values("E49")
    assert found["right"] == approx([0.6, 0.8], abs=1e-15)
    assert found["torch"] == approx([0.59999988, 0.79999984], abs=5e-9) and 1e-7 < found["apart"] < 2e-7


@pytest.mark.oracle
def test_E49_torch_itself(torch):
    p = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    p.grad = torch.tensor([3.0, 4.0], dtype=torch.float64)
    torch.nn.utils.clip_grad_norm_([p], 1.0)
    assert p.grad.tolist() == approx(values("E49")["torch"], abs=1e-15)


def test_E50_fewer_states_the_same_gradient():
    found = values("E50")
    assert found["full"] == 300 and found["kept"] == 40 and found["error"] < 1e-14


# ------------------------------------------------------------------ the command


def test_the_table_has_every_row_within_80_columns(capsys):
    report.errata_command(argparse.Namespace(ids=[]))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("E")] == list(ERRATA)
    assert list(ERRATA) == [f"E{n}" for n in range(1, 51)]


@pytest.mark.parametrize("width", [20, 80, 100, 500])
def test_the_table_keeps_to_its_width(width):
    lines = list(report.report(list(ERRATA.values()), width))
    assert max(map(len, lines)) <= max(80, min(width, 140))


def test_rows_can_be_chosen(capsys):
    assert cli.main(["bptt", "errata", "E35", "E13"]) == 0
    printed = capsys.readouterr().out
    assert printed.index("1482910.400379") < printed.index("7.5147951549704e-15")
    assert all(title in printed for title in TEXTS.values()) and "E36" not in printed.split()


def test_a_row_that_does_not_exist(capsys):
    assert cli.main(["bptt", "errata", "E51"]) == 2
    assert "'E51': they are E1 to E50" in capsys.readouterr().err


def test_every_row_says_where_what_and_why():
    for erratum in ERRATA.values():
        assert erratum.place.partition(",")[0] in TEXTS and erratum.why
        printed, right = erratum.row[2:4]
        assert printed and right and printed != right


@pytest.mark.parametrize("id", ["E4", "E11", "E14", "E17", "E25"])
def test_nothing_is_stored(monkeypatch, id):
    """With another weight in the worked example, the rows about it have other values."""
    before = str(ERRATA[id].compute())
    monkeypatch.setitem(example.WEIGHTS, "W_hh", 0.5)
    assert str(ERRATA[id].compute()) != before
