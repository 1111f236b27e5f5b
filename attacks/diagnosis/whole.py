"""Signs that are judged over all examined images at once. Pure functions of what was counted."""

from __future__ import annotations

from .flags import FAIL, NOT_RUN, PASS, WARN, Counts, Flag

UNBOUNDED = "Does an unbounded attack break everything?"
LARGE = "Does accuracy fall to chance when grey is in every ball?"
OPTIMIZES = "Does the network optimize while it answers?"
UNSTABLE = "Does the loss jump around an image?"

# Of noise around an image: how many levels of 255 a pixel moves at most, as in Pintor et al. 2022,
# and how often it is drawn; and the relative change of the loss above which its gradient points
# nowhere.
AROUND, DRAWS, JUMPS = 4, 10, 0.1


def of_whole(counts: Counts) -> list[Flag]:
    """The flags of a network's answers, and of attacks whose ε is as large as the box or half."""
    return [_optimizes(counts), _unstable(counts), _unbounded(counts), _large(counts)]


def _optimizes(counts: Counts) -> Flag:
    """Attacks climb a fixed function. One that is found anew for each image needs its own attack.

    Counts: `optimizes`, calls of autograd (`grad`, `backward`) in one forward pass.
    """
    formula = (
        "gradients that the network computes in one forward pass; WARN from 1: nothing less "
        "than an attack that is adapted to it can tell (Tramèr et al. 2020)"
    )
    asked = counts.get("optimizes")
    if asked is None:
        return Flag(OPTIMIZES, formula, NOT_RUN, "")
    return Flag(OPTIMIZES, formula, WARN if asked else PASS, f"{asked} of them")


def _unstable(counts: Counts) -> Flag:
    """Where the loss jumps from pixel value to pixel value, its gradient misleads.

    Counts: `unstable_permille`, by how many thousandths small noise changes the loss.
    """
    formula = (
        "median over images of the mean of min(|L(x + noise) − L(x)| / |L(x)|, 1), L the margin, "
        f"{DRAWS} draws of noise uniform in ±{AROUND}/255 (after Pintor et al. 2022); WARN above "
        f"{100 * JUMPS:g} %"
    )
    permille = counts.get("unstable_permille")
    if permille is None:
        return Flag(UNSTABLE, formula, NOT_RUN, "")
    status = WARN if permille > 1000 * JUMPS else PASS
    return Flag(UNSTABLE, formula, status, f"{permille / 10:.1f} %")


def _unbounded(counts: Counts) -> Flag:
    """With the whole box as its ball, an attack must break every image, where one can be broken.

    Counts: `unbounded`, images that survived; `constant_class`, whether every image that was asked
    is given one class: then there is nothing to be found.
    """
    formula = (
        "images that survive the attacks with ε as large as the box; FAIL from 1 if the network "
        "gives any other image another class, WARN if it never does"
    )
    count, n = counts.get("unbounded"), counts.get("n") or 0
    if count is None or n == 0:
        return Flag(UNBOUNDED, formula, NOT_RUN, "")
    status = PASS if not count else WARN if counts.get("constant_class") else FAIL
    return Flag(UNBOUNDED, formula, status, f"{count} of {n} images")


def _large(counts: Counts) -> Flag:
    """At half the box's diameter the grey image lies in every ball: one class alone can survive.

    Counts: `large`, images that survived; `majority`, those of the most frequent label.
    """
    formula = (
        "images that survive the attacks with ε half as large as the box; FAIL above the number "
        "of the most frequent label"
    )
    count, most = counts.get("large"), counts.get("majority")
    n = counts.get("n") or 0
    if count is None or most is None or n == 0:
        return Flag(LARGE, formula, NOT_RUN, "")
    value = f"{count} of {n} images, most frequent label {most}"
    return Flag(LARGE, formula, FAIL if count > most else PASS, value)
