"""torchvision's networks that can be named; needs no torch. Of others, a line here is enough."""

from __future__ import annotations

from .architecture import Architecture
from .settings import share

_CLASSIFIER = "around the hidden layers of its classifier"
_LAST = "before the last layer"

# Name, smallest side, parameters for ten classes, and where dropout acts, empty if it has none.
# With a thousand classes the counts are those that torchvision publishes.
_NAMES = (
    ("alexnet", 63, 57_044_810, _CLASSIFIER),
    ("vgg11", 32, 128_807_306, _CLASSIFIER),
    ("vgg16", 32, 134_301_514, _CLASSIFIER),
    ("vgg16_bn", 32, 134_309_962, _CLASSIFIER),
    ("googlenet", 32, 5_610_154, _LAST),
    ("resnet18", 32, 11_181_642, ""),
    ("resnet34", 32, 21_289_802, ""),
    ("resnet50", 32, 23_528_522, ""),
    ("resnet101", 32, 42_520_650, ""),
    ("wide_resnet50_2", 32, 66_854_730, ""),
    ("resnext50_32x4d", 32, 23_000_394, ""),
    ("densenet121", 32, 6_964_106, "after every dense layer"),
    ("squeezenet1_1", 32, 727_626, "before the last convolution"),
    ("mobilenet_v2", 32, 2_236_682, _LAST),
    ("mobilenet_v3_small", 32, 1_528_106, _LAST),
    ("mobilenet_v3_large", 32, 4_214_842, _LAST),
    ("shufflenet_v2_x1_0", 32, 1_263_854, ""),
    ("efficientnet_b0", 32, 4_020_358, _LAST),
    ("convnext_tiny", 32, 27_827_818, ""),
)

_WITHOUT_BATCH_NORM = ("alexnet", "vgg11", "vgg16", "squeezenet1_1", "convnext_tiny")
_STOCHASTIC = ("efficientnet_b0", "convnext_tiny")  # published with 0.2 and 0.1


def _known(name: str, side: int, parameters: int, dropout: str) -> Architecture:
    keyword = "drop_rate" if name.startswith("densenet") else "dropout"
    return Architecture(
        f"torchvision.{name}",
        "large:torchvision_network",
        f"torchvision's {name}, for large images",
        {(3, max(side, 64), 64): parameters},
        minimum=side,
        settings={"stochastic_depth": share(0.0)} if name in _STOCHASTIC else {},
        fixed={"name": name, "dropout_keyword": keyword if dropout else None},
        dropout=dropout,
        batch_norm=name not in _WITHOUT_BATCH_NORM,
    )


LARGE = tuple(_known(*row) for row in _NAMES)
