"""A scalar RNN to play with: sliders for its weight and its length; the picture, the gradients and the tape follow.

A notebook of marimo (extra live). In the browser: marimo edit examples/live.py

    python examples/live.py

runs it once, without a browser. Prints the tape.
"""

import marimo

app = marimo.App(width="medium")

with app.setup:
    import marimo as mo
    import numpy as np

    import tinygrad_rnn as tg


@app.cell
def sliders():
    w = mo.ui.slider(-2, 2, 0.05, value=0.9, label="w_h", show_value=True)
    T = mo.ui.slider(2, 30, 1, value=4, label="T", show_value=True)
    mo.hstack([w, T])
    return T, w


@app.cell
def network(T, w):
    w_h = tg.tensor(w.value, requires_grad=True, name="w_h")
    _, h = tg.nn.unroll(lambda x, h: 2 * (np.tanh(x + w_h * h),), np.ones(T.value), 0.0)
    loss = (h - 0.5) ** 2
    print(tg.tape(loss))
    mo.vstack([tg.draw(loss, grads=True), mo.plain_text(str(tg.bptt.flow(loss)))])


if __name__ == "__main__":
    app.run()
