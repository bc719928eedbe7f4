"""A hand-written PyTorch loop that knows nothing of histhooks: `histhooks run unchanged_loop.py --epochs 4`."""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


class Net(nn.Module):
    """Two layers."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(64, hidden)
        self.dropout = nn.Dropout(0.1)
        self.fc2 = nn.Linear(hidden, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of the ten digits."""
        return self.fc2(self.dropout(torch.relu(self.fc1(x))))


def train(model: Net, loader: DataLoader, optimizer: torch.optim.Optimizer) -> None:
    """One epoch."""
    model.train()
    for inputs, targets in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()


def accuracy(model: Net, loader: DataLoader) -> float:
    """The share of digits that it reads rightly."""
    model.eval()
    hits = total = 0
    with torch.no_grad():
        for inputs, targets in loader:
            hits += int((model(inputs).argmax(1) == targets).sum())
            total += len(targets)
    return hits / total


def main() -> None:
    """Train and test."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", metavar="FILE", help="where the weights go")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    X, y = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(X / 16.0, dtype=torch.float32), torch.tensor(y))
    for_training, for_test = random_split(data, [1500, 297])
    train_loader = DataLoader(for_training, 64, shuffle=True)
    test_loader = DataLoader(for_test, 256)
    model = Net(args.hidden)
    optimizer = torch.optim.AdamW(model.parameters(), args.lr)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    for epoch in range(args.epochs):
        train(model, train_loader, optimizer)
        print(f"epoch {epoch + 1}: {accuracy(model, test_loader):.3f} of the digits read rightly")
        scheduler.step()
    if args.save:
        torch.save(model.state_dict(), args.save)


if __name__ == "__main__":
    main()
