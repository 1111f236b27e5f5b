"""Networks of torchvision with a stem for small images.

They take long to train, so that the two seconds of importing torchvision do not matter.
"""

from __future__ import annotations

from torch import nn

from .parts import Shape


def densenet_bc(
    shape: Shape, classes: int, dropout: float, *, depth: int, growth: int
) -> nn.Module:
    """DenseNet-BC (Huang et al., 2017, arXiv 1608.06993): three stages of dense bottlenecks.

    Dropout follows each of them, as in the paper.
    """
    from torchvision.models import DenseNet

    blocks = (depth - 4) // 6
    network = DenseNet(
        growth_rate=growth,
        block_config=(blocks, blocks, blocks),
        num_init_features=2 * growth,
        drop_rate=dropout,
        num_classes=classes,
    )
    network.features.conv0 = nn.Conv2d(shape[0], 2 * growth, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(network.features.conv0.weight)
    for name in ("norm0", "relu0", "pool0"):
        setattr(network.features, name, nn.Identity())
    return network


def squeezenet(shape: Shape, classes: int, dropout: float, *, batch_norm: bool) -> nn.Module:
    """SqueezeNet 1.1 (Iandola et al., 2016, arXiv 1602.07360) with a stem that keeps the size.

    Without the paper's ReLU on the scores of the classes: where all of them are silent, and with
    small images they soon are, no gradient says how to go on. `batch_norm` is not the paper's; it
    follows every convolution but the last.
    """
    from torchvision.models import squeezenet1_1

    network = squeezenet1_1(num_classes=classes, dropout=dropout)
    network.features[0] = nn.Conv2d(shape[0], 64, 3, padding=1)
    nn.init.kaiming_uniform_(network.features[0].weight)
    nn.init.zeros_(network.features[0].bias)
    network.classifier[2] = nn.Identity()
    if batch_norm:
        for part in list(network.features.modules()):
            for name, layer in part.named_children():
                if isinstance(layer, nn.Conv2d):
                    normed = nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels))
                    setattr(part, name, normed)
    return network
