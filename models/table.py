"""The table of architectures; needs no torch. docs/networks.md says more about each."""

from __future__ import annotations

from typing import Any

from .architecture import Architecture
from .large_table import LARGE
from .settings import activation, choice, counts, factor, pooling, share, switch, whole

DIGITS, MNIST, CIFAR, LARGER = (1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 40, 48)

_OFTEN = {"activation": activation(), "batch_norm": switch(True)}
_SEEN = {"images": choice("whole", "zhang")}
_DEEP = {"activation": activation(), "stochastic_depth": share(0.0)}


def _without_shortcut(settings: dict[str, Any]) -> tuple[str, str] | None:
    if settings["shortcut"] == "none" and settings["stochastic_depth"]:
        reason = "a block that is dropped lets nothing through where shortcut is none; set it to 0"
        return "stochastic_depth", reason
    return None


def _six_a_step(settings: dict[str, Any]) -> tuple[str, str] | None:
    depth = settings["depth"]
    if (depth - 4) % 6:
        return "depth", f"must be 4 more than a multiple of 6, such as 10, 16, 28, 40, got {depth}"
    return None


def _something_left(settings: dict[str, Any]) -> tuple[str, str] | None:
    if settings["reduction"] > 64:
        reason = (
            f"must be at most 64, the channels of the first blocks, got {settings['reduction']}"
        )
        return "reduction", reason
    return None


def _by_mean(stem: int, cifar: int) -> dict[tuple[int, int, int], int]:
    """Counts of a network that ends in the mean over the image: any size takes as many, and grey
    images two channels of its first 3x3 convolution, `stem` wide, fewer."""
    grey = cifar - 2 * 9 * stem
    return {DIGITS: grey, MNIST: grey, CIFAR: cifar, LARGER: cifar}


ARCHITECTURES: dict[str, Architecture] = {
    each.name: each
    for each in (
        Architecture(
            "linear",
            "plain:linear",
            "softmax regression on the pixels",
            {DIGITS: 650, MNIST: 7_850, CIFAR: 30_730},
            minimum=1,
            dropout="on the pixels",
        ),
        Architecture(
            "mlp",
            "plain:mlp",
            "fully connected, three hidden layers of 512 units (Zhang et al., 2017)",
            {DIGITS: 563_722, MNIST: 932_362, CIFAR: 2_103_818},
            minimum=1,
            settings={"hidden": counts(512, 512, 512), "activation": activation(), **_SEEN},
            dropout="after every hidden layer",
        ),
        Architecture(
            "small_cnn",
            "convolutional:small_cnn",
            "two strided convolutions (16, 32) and one hidden layer of 64 units, times `width`",
            {DIGITS: 38_282, MNIST: 105_866, CIFAR: 136_874, (1, 9, 12): 66_954},
            settings={"width": factor(1), "activation": activation()},
        ),
        Architecture(
            "cnn",
            "convolutional:cnn",
            "two pairs of convolutions (32, 64) and one hidden layer of 128 units, times `width`",
            {DIGITS: 99_370, MNIST: 468_010, CIFAR: 591_466},
            settings={"width": factor(1), **_OFTEN, "pooling": pooling()},
        ),
        Architecture(
            "lenet5",
            "convolutional:lenet5",
            "LeNet-5 with ReLU and max-pooling (LeCun et al., 1998)",
            {MNIST: 61_706, CIFAR: 62_006},
            sides=(28, 32),
            settings={"activation": activation(), "pooling": pooling()},
        ),
        Architecture(
            "alexnet_small",
            "zhang:alexnet_small",
            "two 5x5 convolutions (64, 64), 384 and 192 units (Zhang et al., 2017)",
            {DIGITS: 278_666, (3, 28, 28): 1_387_786, CIFAR: 1_756_426},
            settings={"activation": activation(), "pooling": pooling(), **_SEEN},
        ),
        Architecture(
            "inception_small",
            "zhang:inception_small",
            "eight inception modules of two branches (Zhang et al., 2017)",
            _by_mean(96, 1_649_402) | {(3, 28, 28): 1_649_402},
            settings={**_OFTEN, **_SEEN},
        ),
        Architecture(
            "all_cnn_c",
            "deep:all_cnn_c",
            "All-CNN-C, nine convolutions without pooling (Springenberg et al., 2015)",
            {MNIST: 1_370_526, CIFAR: 1_372_254, LARGER: 1_372_254},
            minimum=9,
            settings=_OFTEN,
            dropout="after each of the two convolutions that halve the image",
        ),
        Architecture(
            "vgg11",
            "deep:vgg",
            "VGG-11 with one linear layer (Simonyan and Zisserman, 2015)",
            _by_mean(64, 9_231_114),
            settings={**_OFTEN, "pooling": pooling()},
            fixed={"stages": [[64], [128], [256] * 2, [512] * 2, [512] * 2]},
        ),
        Architecture(
            "vgg16",
            "deep:vgg",
            "VGG-16 with one linear layer (Simonyan and Zisserman, 2015)",
            _by_mean(64, 14_728_266),
            settings={**_OFTEN, "pooling": pooling()},
            fixed={"stages": [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3]},
        ),
        Architecture(
            "googlenet",
            "deep:googlenet",
            "GoogLeNet with a stem for small images (Szegedy et al., 2015)",
            _by_mean(192, 6_166_250),
            settings=_OFTEN,
        ),
        Architecture(
            "resnet18",
            "resnet:resnet",
            "ResNet-18 with a stem for small images (He et al., 2016)",
            _by_mean(64, 11_173_962),
            settings={**_DEEP, "shortcut": choice("projection", "padding", "none")},
            fixed={"widths": [64, 128, 256, 512], "blocks": 2},
            conflict=_without_shortcut,
            batch_norm=True,
        ),
        Architecture(
            "resnet20",
            "resnet:resnet",
            "ResNet-20 for small images (He et al., 2016)",
            _by_mean(16, 269_722),
            settings={**_DEEP, "shortcut": choice("padding", "projection", "none")},
            fixed={"widths": [16, 32, 64], "blocks": 3},
            conflict=_without_shortcut,
            batch_norm=True,
        ),
        Architecture(
            "resnet56",
            "resnet:resnet",
            "ResNet-56 for small images (He et al., 2016)",
            _by_mean(16, 853_018),
            settings={**_DEEP, "shortcut": choice("padding", "projection", "none")},
            fixed={"widths": [16, 32, 64], "blocks": 9},
            conflict=_without_shortcut,
            batch_norm=True,
        ),
        Architecture(
            "preact_resnet18",
            "resnet:preact_resnet18",
            "ResNet-18 with activations before convolutions (He et al., 2016)",
            _by_mean(64, 11_172_170),
            settings=_DEEP,
            batch_norm=True,
        ),
        Architecture(
            "se_resnet18",
            "resnet:resnet",
            "ResNet-18 with squeeze-and-excitation (Hu et al., 2018)",
            _by_mean(64, 11_263_042),
            settings={**_DEEP, "reduction": whole(16)},
            fixed={"widths": [64, 128, 256, 512], "blocks": 2, "shortcut": "projection"},
            conflict=_something_left,
            batch_norm=True,
        ),
        Architecture(
            "wide_resnet",
            "resnet:wide_resnet",
            "WRN-depth-width (Zagoruyko and Komodakis, 2016)",
            _by_mean(16, 36_479_194),
            settings={**_DEEP, "depth": whole(28, 10), "width": whole(10)},
            dropout="between the two convolutions of each block",
            conflict=_six_a_step,
            batch_norm=True,
        ),
        Architecture(
            "resnext29",
            "resnet:resnext29",
            "ResNeXt-29, cardinality x base_width d (Xie et al., 2017)",
            _by_mean(64, 4_775_754),
            settings={**_DEEP, "cardinality": whole(32), "base_width": whole(4)},
            batch_norm=True,
        ),
        Architecture(
            "densenet_bc",
            "borrowed:densenet_bc",
            "DenseNet-BC-depth-growth (Huang et al., 2017)",
            _by_mean(24, 769_162),
            settings={"depth": whole(100, 10), "growth": whole(12)},
            dropout="after every dense layer",
            conflict=_six_a_step,
            batch_norm=True,
        ),
        Architecture(
            "squeezenet",
            "borrowed:squeezenet",
            "SqueezeNet 1.1 with a stem for small images (Iandola et al., 2016)",
            _by_mean(64, 727_626),
            settings={"batch_norm": switch(False)},
            dropout="before the last convolution",
        ),
        *LARGE,
    )
}
