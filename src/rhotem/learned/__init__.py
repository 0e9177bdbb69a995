"""The learned density: prediction with numpy and compiled kernels. Training, with torch, is `rhotem.training`."""
