"""A hand-written PyTorch loop, recorded by one line: run it, then look at `histhooks show last`."""

import histhooks

histhooks.autolog()

import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(0)
X, y = load_digits(return_X_y=True)
data = TensorDataset(torch.tensor(X / 16.0, dtype=torch.float32), torch.tensor(y))
train, valid = random_split(data, [1500, 297])
train_loader, valid_loader = DataLoader(train, 64, shuffle=True), DataLoader(valid, 297)


def fit(epochs: int) -> float:
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for epoch in range(epochs):
        for inputs, targets in train_loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
        scheduler.step()
        with torch.no_grad():
            ((inputs, targets),) = valid_loader
            val_loss = torch.nn.functional.cross_entropy(model(inputs), targets).item()
        histhooks.log({"val_loss": val_loss}, epoch=epoch)  # what only the program knows goes to the same run
    return val_loss


print(f"loss on data that it did not train on: {fit(4):.3f}")
