"""Functions that do the right thing for an estimator of any library: to fit it, and to ask it.

    @fit_estimator.register
    def fit_mine(estimator: Mine, x: np.ndarray, y: np.ndarray, epochs: int = 1): ...

    fit_estimator(estimator, x, y, epochs=3)

The function is chosen by the types of the arguments. Packages add theirs through the entry-point groups
`dioptra.generics.fit_estimator` and `dioptra.generics.estimator_predict`.
"""

from dioptra.sdk.generics._functions import estimator_predict, fit_estimator

__all__ = ["estimator_predict", "fit_estimator"]
