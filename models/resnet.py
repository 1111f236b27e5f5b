"""ResNet-18 for small images (He et al., 2016, arXiv 1512.03385).

Written out because torchvision's takes two seconds to import, has the ImageNet stem, and would
be changed in as many lines as it has here.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu

Shape = tuple[int, int, int]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut: (N, C, H, W) to (N, channels, H/stride, W/stride)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(residual + self.shortcut(x))


def resnet18(shape: Shape, classes: int, dropout: float) -> nn.Module:
    """Four stages of two blocks (64 to 512 channels) after a 3x3 stem without pooling."""
    layers: list[nn.Module] = [
        nn.Conv2d(shape[0], 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
    ]
    width = 64
    for channels, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [BasicBlock(width, channels, stride), BasicBlock(channels, channels, 1)]
        width = channels
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout)]
    network = nn.Sequential(*layers, nn.Linear(width, classes))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network
