"""How do pictures become tensors and back?"""

from collections.abc import Iterable

import numpy as np
import torch


def to_tensor(pictures: Iterable[np.ndarray], device: torch.device | str = "cpu") -> torch.Tensor:
    """Stacks uint8 HWC pictures to N x 3 x H x W in [-1, 1]."""
    return normalized(torch.from_numpy(np.stack(list(pictures))).to(device))


def normalized(pictures: torch.Tensor) -> torch.Tensor:
    """Turns uint8 N x H x W x 3 into N x 3 x H x W in [-1, 1]."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pictures(tensor: torch.Tensor) -> np.ndarray:
    """The inverse: uint8, N x H x W x 3."""
    return ((tensor.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
