"""Ensembles: what a suite's `attacks:` may name in place of a list. Plain data, no torch.

An entry that cannot do a suite's norm, or whose `norms` do not name it, is left out: one list
serves every norm.
"""

from __future__ import annotations

from typing import Any

Attacks = list[dict[str, Any]]

_BEYOND: Attacks = [{"attack": "grid"}, {"attack": "steepest"}]

# For daily work: what an undefended network falls to, and a fair guess at a defended one.
_FAST: Attacks = [
    {"attack": "fgsm"},
    {"attack": "pgd", "steps": 20, "loss": "margin"},
    {"attack": "pgd", "name": "pgd_restarts", "steps": 40, "restarts": 2},
    {"attack": "apgd_l1", "steps": 40},
    *_BEYOND,
]

# What a headline rests on: at least as strong as AutoAttack's standard version, and cheaper where
# gradients can be trusted. Nearly all of AutoAttack's passes go to images that no attack breaks, so
# each image decides for itself, by the share of its clean margin that is left, how much it gets:
#   first        ten steps towards the likeliest wrong class, for all: ends undefended networks
#   cross_entropy  Auto-PGD, for all: another loss, and steps that adapt. On residual blocks that
#                hide their gradients (`residual/masked`) AutoAttack broke 16 of 900 that the rest
#                left, and the rest 8 that it left; half of the 16 fall to this
#   every_class  each class, where half of the margin is gone; a run that does not come near in a
#                third of its steps ends there
#   fmn          what these left, from the other side of the boundary: networks trained in one norm
#                mislead attacks of a fixed budget in another. Its distances fall fast where that
#                happens, and stand still from the tenth step on where it does not: a race, which
#                images leave that are not on their way into the ball
#   fab          the same in L2, towards each class: on a network that was trained in L-infinity it
#                breaks what FMN's one path misses, and FMN what it misses; its restarts go to
#                images that stand close to the ball and that the one before brought nearer. In
#                L-infinity one run, towards the likeliest class: on an MLP that hides its gradients
#                (`unseen/masked`) one image fell to nothing else. In L1 it runs as published: this
#                short form left 48 of 300 images of MNIST `adversarial` that AutoAttack broke
#   closest      for images that all but fell, or that FMN or FAB broke just outside the ball:
#                towards each of four classes, from the nearest image inside that is known and from
#                that one outside, drawn in; from a random start where there is none. On a network
#                with average pooling that hides its gradients (`averaged/masked`) AutoAttack broke
#                31 of 900 that standard left when all runs began at random and ended unless they
#                were as near again after a third of their steps, 11 when one began inside, 4 when
#                the other began outside. In L2 the second may not go: MNIST `masked`, ELU, 2 of 300
#   restarts     in L1, where the start decides which few pixels a run ends with: of 80 images of
#                digits `masked` at 1.2, five more runs broke 20 that the first left standing; with
#                ten runs in place of five, of 900 images (digits `masked` and `adversarial`, MNIST
#                `masked`) 44 fell to ours alone in place of 32, to AutoAttack alone 19 in place of
#                31
#   square       random search as a race. It may not be dropped: where gradients are masked it
#                breaks what they cannot. All images enter it; those that keep up with the pace of
#                images that it breaks in the end go to its end.
#
# benchmarks/autoattack.py compares strength and seconds; its table is in docs/attacks.md.
# What the race loses: `benchmarks/race.py --images 300 --seed 3`, after the attacks before it, on
# the eight masked networks, in L2 on MNIST `adversarial` too (2026-11-28). In L-infinity it broke
# 41 of 42 images that all of Square's queries break (36 of them on ELU), in L2 58 of 82. So, with
# 95 % confidence and as if images were independent, it misses such an image with probability p
# below 0.11, in L2 below 0.39. The flag (diagnosis/flags.py) asks for two of all images, for one
# falls to Square on networks that hide nothing: with m that only Square breaks, it stays down with
# probability below p^m + m (1 - p) p^(m-1): in L-infinity 1 in 30 for m = 3, 1 in 200 for m = 4; in
# L2 1 in 13 for m = 5, 1 in 140 for m = 8. FMN and FAB, which come before it, break some of them
# too.
_STANDARD: Attacks = [
    {"attack": "multitargeted", "name": "first", "targets": 1, "steps": 10},
    {"attack": "apgd", "name": "cross_entropy", "steps": 50, "norms": ("linf",)},
    {"attack": "multitargeted", "name": "every_class", "steps": 24, "within": 0.55},
    {"attack": "fmn", "steps": 100, "classes": 3, "race": True, "norms": ("linf", "l2")},
    {"attack": "fab", "steps": 60, "targets": 1, "race": True, "norms": ("linf",)},
    {"attack": "fab", "steps": 60, "targets": 3, "restarts": 4, "race": True, "norms": ("l2",)},
    {
        "attack": "multitargeted",
        "name": "closest",
        "targets": 4,
        "restarts": 2,
        "steps": 40,
        "within": 0.1,
        "refine": True,
        "norms": ("linf", "l2"),
    },
    {"attack": "apgd_l1", "name": "first", "steps": 30},
    {"attack": "apgd_l1", "name": "restarts", "steps": 60, "restarts": 10},
    {"attack": "fab", "steps": 100, "targets": 9, "patience": 100, "norms": ("l1",)},
    {"attack": "apgd_l1", "name": "every_class", "targets": 5, "steps": 60, "restarts": 2},
    {"attack": "square", "race": True},
    *_BEYOND,
]

# AutoAttack's standard version as published (Croce and Hein 2020, arXiv:2003.01690; in L1, 2021,
# arXiv:2103.01208): its attacks, iterations, targets and queries, in its order. The attacks are
# ours, and differ from its code: projections onto ball and box together are exact, FAB's last image
# is drawn in, Square draws windows for each image and anew where nothing would change and reaches
# the last row and column, in L2 a quarter of its smallest bumps are single pixels, APGD counts its
# first window as the others, and steps in L1 may shrink to a 20th of eps in place of a 10th.
_AUTOATTACK: Attacks = [
    {"attack": "apgd", "name": "apgd_ce", "steps": 100},
    {"attack": "apgd", "name": "apgd_t", "steps": 100, "targets": 9, "loss": "dlr"},
    {"attack": "apgd_l1", "name": "apgd_ce", "steps": 100, "restarts": 5},
    {"attack": "apgd_l1", "name": "apgd_t", "steps": 100, "targets": 5, "loss": "dlr"},
    {"attack": "fab", "name": "fab_t", "steps": 100, "targets": 9, "patience": 100},
    {"attack": "square", "queries": 5000, "rescale": False},
]

# AutoAttack's version for models that answer at random, as published: with draws=20 its gradients
# are means over as many draws as there (see `views.randomized`).
_RANDOMIZED: Attacks = [
    {"attack": "apgd", "name": "apgd_ce", "steps": 100},
    {"attack": "apgd", "name": "apgd_dlr", "steps": 100, "loss": "dlr"},
    {"attack": "apgd_l1", "name": "apgd_ce", "steps": 100},
    {"attack": "apgd_l1", "name": "apgd_dlr", "steps": 100, "loss": "dlr"},
    *_BEYOND,
]

ENSEMBLES: dict[str, Attacks] = {
    "fast": _FAST,
    "standard": _STANDARD,
    "autoattack": _AUTOATTACK,
    "randomized": _RANDOMIZED,
}

# Those that mean nothing before it is said over how many draws an answer is taken.
NEED_DRAWS = ("randomized",)
