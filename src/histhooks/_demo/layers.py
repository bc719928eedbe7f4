"""Keras, recorded by one line."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import histhooks

histhooks.autolog()

import keras
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(0)
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16.0, y, random_state=0)
model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(10, "softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
stopping = keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True)
model.fit(X_train, y_train, epochs=12, validation_split=0.2, callbacks=[stopping], verbose=0)
model.evaluate(X_test, y_test, verbose=0)
