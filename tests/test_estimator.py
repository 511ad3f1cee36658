"""The estimators of the example: scikit-learn's own checks, searches in several processes, and optuna's."""

import importlib
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", "1.6", reason="scikit-learn is not installed (extra estimator)")

EXAMPLE = Path(__file__).parents[1] / "examples" / "estimator.py"


@pytest.fixture(scope="module")
def estimator():
    """The example as a module that can be imported by its name, as what unpickles its classes does."""
    sys.path.insert(0, str(EXAMPLE.parent))
    yield importlib.import_module("estimator")
    sys.path.remove(str(EXAMPLE.parent))
    del sys.modules["estimator"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SequenceClassifier", "SequenceRegressor"])
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks(estimator, name):
    """All that apply; scikit-learn itself leaves out the array API, and what needs pandas where there is none."""
    from sklearn.utils.estimator_checks import check_estimator

    results = check_estimator(getattr(estimator, name)(), on_skip=None)
    done = {result["check_name"]: result["status"] for result in results}
    left_out = {check for check, status in done.items() if status == "skipped"}
    assert [check for check, status in done.items() if status != "passed" and check not in left_out] == []
    assert all(check == "check_array_api_input" or check.endswith("_data_not_an_array") for check in left_out)
    assert len(done) > 40 and {"check_n_features_in_after_fitting", "check_methods_subset_invariance"} <= done.keys()


@pytest.mark.slow
def test_sequences_of_different_lengths_are_learned_and_the_model_pickles(estimator):
    x, y = estimator.curves(160, np.random.default_rng(0))
    made = estimator.SequenceClassifier(epochs=25, random_state=0).fit(x[:120], y[:120])
    assert made.score(x[120:], y[120:]) > 0.85 and made.n_features_in_ == 1
    again = pickle.loads(pickle.dumps(made))
    assert np.array_equal(again.predict_proba(x[120:]), made.predict_proba(x[120:]))
    alone = np.concatenate([made.predict_proba([one]) for one in x[120:130]])
    assert alone == pytest.approx(made.predict_proba(x[120:130]), abs=1e-12)  # padding does not count


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_numbers_are_learned(estimator, cell):
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(n, 2)) for n in rng.integers(1, 8, 80)]
    y = [1000 + 50 * one[-1, 0] for one in x]
    made = estimator.SequenceRegressor(cell, epochs=30, random_state=0).fit(x, y)
    assert made.score(x, y) > 0.8


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([np.zeros((2, 2)), np.zeros((3, 1))], r"sequence 1 is \(3, 1\); expected finite numbers \(T, 2\)"),
        ([np.zeros((2, 2)), np.full((3, 2), np.nan)], "sequence 1 .* finite"),
        ([np.zeros((2, 2))], "inconsistent numbers of samples"),
    ],
)
def test_sequences_that_do_not_fit_are_named(estimator, wrong, message):
    with pytest.raises(ValueError, match=message):
        estimator.SequenceClassifier(epochs=1).fit(wrong, [0, 1])


@pytest.mark.slow
def test_a_search_gives_the_same_in_one_process_and_in_two(estimator):
    x, y = estimator.curves(90, np.random.default_rng(0))
    one, two = (estimator.search(x, y, jobs, hidden_size=[4, 8], epochs=[6]) for jobs in (1, 2))
    assert one.cv_results_["mean_test_score"].tolist() == two.cv_results_["mean_test_score"].tolist()
    assert np.array_equal(one.predict_proba(x), two.predict_proba(x))


@pytest.mark.slow
def test_joblib_brings_models_back_from_other_processes(estimator):
    joblib = pytest.importorskip("joblib")
    x, y = estimator.curves(40, np.random.default_rng(0))
    makes = [estimator.SequenceClassifier(epochs=2, random_state=seed) for seed in (0, 1)]
    there = joblib.Parallel(n_jobs=2)(joblib.delayed(made.fit)(x, y) for made in makes)
    for here, brought in zip(makes, there, strict=True):
        assert np.array_equal(here.fit(x, y).predict_proba(x), brought.predict_proba(x))


@pytest.mark.slow
def test_optuna_chooses(estimator):
    optuna = pytest.importorskip("optuna", reason="optuna is not installed (extra estimator)")
    from sklearn.model_selection import cross_val_score

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    x, y = estimator.curves(90, np.random.default_rng(0))

    def objective(trial):
        settings = {"hidden_size": trial.suggest_int("hidden_size", 2, 16), "lr": trial.suggest_float("lr", 1e-4, 0.05)}
        return cross_val_score(estimator.SequenceClassifier(epochs=8, random_state=0, **settings), x, y, cv=2).mean()

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=4)
    assert study.best_value == max(trial.value for trial in study.trials) > 0.5 and len(study.trials) == 4
