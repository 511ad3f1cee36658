"""Sequence models as scikit-learn estimators, in a search: python examples/estimator.py. Prints the best settings.

Needs scikit-learn. The data are a list of sequences (T_k, features) of different lengths; or a table (N, T), whose rows
are sequences of one number a step, all of one length.
"""

import sys

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import GridSearchCV
from sklearn.utils import assert_all_finite, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

import tinygrad_rnn as tg

CELLS = {"rnn": tg.nn.RNN, "lstm": tg.nn.LSTM, "gru": tg.nn.GRU}


class Network(tg.nn.Module):
    """What the last state of a recurrent layer says of each sequence."""

    def __init__(self, cell, inputs, hidden, outputs, rng):
        self.recurrent, self.head = CELLS[cell](inputs, hidden, rng=rng), tg.nn.Linear(hidden, outputs, rng=rng)

    def forward(self, x, lengths):
        _, state = self.recurrent(x, lengths=lengths)
        return self.head((state[0] if isinstance(state, tuple) else state)[-1])


class SequenceEstimator(BaseEstimator):
    """What the two estimators share: a recurrent layer with a head, trained by Adam for some epochs."""

    def __init__(self, cell="gru", hidden_size=16, lr=0.02, epochs=40, batch_size=32, clip=1.0, random_state=None):
        self.cell, self.hidden_size, self.lr, self.epochs = cell, hidden_size, lr, epochs
        self.batch_size, self.clip, self.random_state = batch_size, clip, random_state

    def _sequences(self, X, reset):
        """The sequences (T_k, features) of X; `n_features_in_` is the features, or the columns of a table."""
        if reset:
            self.of_table_ = not _are_sequences(X)
        if self.of_table_:
            return list(validate_data(self, X, reset=reset, dtype=np.float64)[:, :, None])
        sequences = [np.asarray(x, np.float64) for x in X]
        sequences = [x[:, None] if x.ndim == 1 else x for x in sequences]
        if reset:
            self.n_features_in_ = sequences[0].shape[-1]
        for k, x in enumerate(sequences):
            if x.ndim != 2 or x.shape[1] != self.n_features_in_ or not np.isfinite(x).all():
                raise ValueError(f"sequence {k} is {x.shape}; expected finite numbers (T, {self.n_features_in_})")
        return sequences

    def _fit(self, sequences, targets, outputs, loss):
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
        self.model_ = Network(self.cell, sequences[0].shape[1], self.hidden_size, outputs, rng).astype(np.float64)
        batches = tg.data.batches(sequences, targets, self.batch_size, shuffle=True, bucket=True, rng=rng)
        options = {"epochs": self.epochs, "clip": self.clip, "progress": False}
        optimizer = tg.optim.Adam(self.model_.parameters(), lr=self.lr)
        self.history_ = tg.fit(self.model_, loss, batches, optimizer=optimizer, **options)
        self.n_iter_ = len(self.history_)
        return self

    @tg.no_grad()
    def _outputs(self, X):
        """What the network gives for each sequence, (N, outputs)."""
        check_is_fitted(self)
        batches = tg.data.batches(self._sequences(X, reset=False), None, 256)
        return np.concatenate([self.model_(x, lengths).data for x, _, lengths in batches])


def _are_sequences(X):
    """Whether X is sequences of different lengths, or of several features, rather than a table."""
    if isinstance(X, np.ndarray):
        return X.ndim == 3 or (X.ndim == 1 and X.dtype == object and len(X) > 0 and np.ndim(X[0]) > 0)
    return isinstance(X, list | tuple) and len(X) > 0 and (np.ndim(X[0]) == 2 or len({np.size(x) for x in X}) > 1)


class SequenceClassifier(ClassifierMixin, SequenceEstimator):
    """Says which class each sequence is of."""

    def fit(self, X, y):
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        sequences = self._sequences(X, reset=True)
        check_consistent_length(sequences, y)
        self.classes_, targets = np.unique(y, return_inverse=True)
        return self._fit(sequences, targets, len(self.classes_), self._loss)

    @staticmethod
    def _loss(model, x, y, lengths):
        return tg.nn.cross_entropy(model(x, lengths), y)

    def predict_proba(self, X):
        return tg.softmax(tg.tensor(self._outputs(X)), axis=-1).data

    def predict(self, X):
        outputs = self._outputs(X)
        return self.classes_[outputs.argmax(-1)]


class SequenceRegressor(RegressorMixin, SequenceEstimator):
    """Gives a number for each sequence."""

    def fit(self, X, y):
        y = column_or_1d(y, dtype=np.float64, warn=True)
        assert_all_finite(y, input_name="y")
        sequences = self._sequences(X, reset=True)
        check_consistent_length(sequences, y)
        self.mean_, self.scale_ = y.mean(), y.std() or 1.0
        return self._fit(sequences, (y - self.mean_) / self.scale_, 1, self._loss)

    @staticmethod
    def _loss(model, x, y, lengths):
        return tg.nn.mse_loss(model(x, lengths)[:, 0], y)

    def predict(self, X):
        outputs = self._outputs(X)
        return self.mean_ + self.scale_ * outputs[:, 0]


def curves(count, rng):
    """Noisy curves of 20 to 39 steps, and what each is of: a sine or a square wave."""
    kinds, lengths = rng.integers(0, 2, count), rng.integers(20, 40, count)
    waves = [np.sin(rng.uniform(0, 6) + np.arange(n) * rng.uniform(0.2, 0.5)) for n in lengths]
    waves = [np.sign(wave) if kind else wave for wave, kind in zip(waves, kinds, strict=True)]
    x = [wave[:, None] + 0.3 * rng.normal(size=(len(wave), 1)) for wave in waves]
    return x, np.array(["sine", "square"])[kinds]


def search(X, y, jobs, **settings):
    """Each of some settings, tried in three folds, in so many processes at once."""
    estimator = SequenceClassifier(epochs=12, random_state=0)
    return GridSearchCV(estimator, settings, cv=3, n_jobs=jobs, error_score="raise").fit(X, y)


def main(jobs=2, count=240):
    found = search(*curves(count, np.random.default_rng(0)), jobs, cell=["rnn", "gru"], hidden_size=[8, 16])
    print(f"best: {found.best_params_}, {found.best_score_:.3f} right in the parts held out")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
