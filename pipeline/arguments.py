"""What `check` and `look` take on the command line."""

from __future__ import annotations

import argparse


def check_arguments(parser: argparse.ArgumentParser) -> None:
    def add(name: str, text: str, **how: object) -> None:
        parser.add_argument(f"--{name}", help=text, **how)  # type: ignore[arg-type]

    add("model", "package.module:function, which returns a torch.nn.Module", required=True)
    add("weights", "file of its state_dict; without it the function brings the weights")
    add(
        "data",
        "a folder of a folder for each class, an .npz of x and y, or module:function that returns "
        "a Dataset",
        required=True,
    )
    add("eps", "the largest change, such as 2/255", required=True)
    add("norm", "linf, l2, l1 or a transformation", default="linf")
    add("require", "robust accuracy that is required, such as 0.8; the exit code says whether")
    add("ensemble", "of attacks: fast, standard, autoattack, randomized", default="standard")
    add("args", "arguments of the function, such as '{depth: 18}'", default="{}")
    add("code", "files and folders that the model depends on, for the record", nargs="*")
    add("normalize", "'{mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}'")
    add("resize", "shorter side of the images in pixels, or '[height, width]'")
    add("crop", "then the middle part: its side, or '[height, width]'")
    add("classes", "'{folder: output, ...}', or a YAML file that says so")
    add("samples", "how many images; without it, all")
    add("seed", "of the choice of images and of every random draw", default="0")
    add("slots", "images per pass; without it, as many as take little memory")
    add("draws", "for a model that answers at random: over how many draws a verdict is taken")
    add(
        "diagnosis",
        "on how many of the images each attack also runs alone, for the report's checks of the "
        "attacks; it may take longer than all the rest",
        default="20",
    )
    add("gradients", "no: the model has none; it is attacked by random search alone", default="yes")
    add("name", "what the report calls the model; without it, as its weights or module")
    add("out", "the new folder that the report goes into; without it, check-<name>")


def look_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", default="look.png", help="where the picture goes")
    parser.add_argument("--image", help="a photo, which ResNet-18 is to misread")
    parser.add_argument("--to", help="class of ImageNet that it is made into, such as broccoli")
    parser.add_argument("--weights", help="file of ResNet-18's weights; they are downloaded else")
    parser.add_argument("--eps", help="the largest change, such as 2/255; else, what it takes")
