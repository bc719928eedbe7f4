"""Data and models of Keras, Lightning and PyTorch, as the text with which programs of tests begin."""

KERAS = """
import json
import keras
import numpy as np
keras.utils.set_random_seed(3)
x = np.linspace(0, 1, 400, dtype="float32").reshape(100, 4)
y = x.sum(axis=1, keepdims=True)
def build(optimizer="sgd"):
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
    model.compile(optimizer, "mse", metrics=["mae"])
    return model
"""
# Batches each two of which make a step, three of which are recorded.
KERAS_BATCHES = """
from histhooks.integrations.keras import HistoryCallback
from keras.callbacks import CallbackList
lists, init = [], CallbackList.__init__
def remember(self, *args, **kwargs):
    init(self, *args, **kwargs)
    lists.append(self)
CallbackList.__init__ = remember
model = build(keras.optimizers.SGD(0.01, gradient_accumulation_steps=2))
model.fit(x, y, epochs=2, batch_size=16, verbose=0, callbacks=[HistoryCallback(every=3)])
from keras.src.backend import IS_THREAD_SAFE
assert lists[0]._async_train == IS_THREAD_SAFE, "the training thread hands batches on itself"
"""
# The root is `lightning.pytorch` or `pytorch_lightning`.
LIGHTNING = """
import json, logging, warnings
warnings.simplefilter("ignore")
import {root} as pl
import torch
logging.getLogger("{root}").setLevel(logging.ERROR)
pl.seed_everything(3, verbose=False)
x = torch.linspace(0, 1, 96).reshape(32, 3)
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True)), 8, shuffle=True)
class Net(pl.LightningModule):
    def __init__(self, width=4):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(3, 1)
        self.late = 0.0
    def training_step(self, batch, index):
        loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss
    def on_train_epoch_end(self):
        self.late += 1.0
        self.log("late", self.late)
    def validation_step(self, batch, index):
        self.log("val_loss", torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1]))
    def test_step(self, batch, index):
        self.log("test_loss", torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1]))
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), 0.1, momentum=0.5)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]
def trainer(**more):
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    known = dict(max_epochs=3, accelerator="cpu", devices=1, log_every_n_steps=2)
    return pl.Trainer(**{{**quiet, **known, **more}})
"""
TORCH = """
import json, sys
import torch
torch.manual_seed(3)
x = torch.randn(64, 3)
data = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))
loader = torch.utils.data.DataLoader(data, 8, shuffle=True)
valid = torch.utils.data.DataLoader(data, 16)
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    def forward(self, x):
        return self.out(torch.relu(self.hidden(x)))
def step(net, optimizer, inputs, targets):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(net(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()
"""
