"""Where images come from: published data sets, and folders of images."""
