"""Lightning, as ``lightning`` and as ``pytorch_lightning``: every ``Trainer.fit`` leaves a run.

    import histhooks, lightning
    from lightning.pytorch.demos.boring_classes import BoringModel
    histhooks.autolog("lightning")
    module = BoringModel()  # with data of its own
    lightning.Trainer(max_epochs=3).fit(module)

    # without autolog(): this trainer and no other
    from histhooks.integrations.lightning import HistoryCallback
    lightning.Trainer(max_epochs=3, callbacks=[HistoryCallback()]).fit(module)

==========================================  ==========================================================================
Lightning                                   record
==========================================  ==========================================================================
``Trainer.fit``                             a run of kind `fit`, by rank 0; other ranks leave a session; planned epochs:
                                            ``max_epochs`` less those that a checkpoint had done
hyperparameters of module and DataModule    params, under their own names; where both have a name with another value,
                                            that of the DataModule is `datamodule.<name>`
settings of the Trainer                     params `trainer.<name>`
optimizers, all groups; schedulers          `optimizers`, `optimizer_groups`; several schedulers of one are a list
what loggers get of a step                  points at that step, every ``log_every_n_steps`` batches, and the last value
                                            of the epoch, which ``callback_metrics`` has when the fit is over
what loggers get of an epoch                points under the host's names, at the last step of the epoch
what loggers get of a validation            the same, at the last step before it; of a batch of it: at the number of
                                            that batch among all batches of validations, as for loggers
a `step` that the program logs              the place of what it is logged with, as for loggers, and no series
one name in training and in validation      two series: `loss`, and `loss/valid` (or `loss/train`, where validation
                                            was first)
what else Lightning's loggers get           the same: ``self.logger.log_metrics(...)``, LearningRateMonitor; where the
                                            program says
the rest of ``callback_metrics``            the same: what is logged with ``logger=False``, a name without `_epoch`,
                                            what callbacks put there
learning rates                              `lr`, or `lr/<optimizer>.<group>`: as it was in the last step
``Tuner``                                   a run for each of its fits, with results `tuner`, `batch_size`, `tried_lr`,
                                            `tried_lr_loss`
callbacks, also ``configure_callbacks``     params `callbacks`, by class; of Lightning's own the settings, such as
                                            `early_stopping.patience`; results `stopped_epoch`, `stopping_reason`,
                                            `best_model_path`, `best_model_score`; a second one's end in `_2`
``Trainer.save_checkpoint``, by any caller  the file as it was written, an artifact of role `checkpoint`
``ckpt_path``, also `last`                  an artifact that was read, and a link `resumes` to the run that wrote it
the module at the start and end of ``fit``  `weights`: digest, norm, number of non-finite values, under the names of
                                            ``state_dict()``, unless it is on a device or sharded (`captures` says so)
dataloaders                                 params `data.<name>`; a dataset of role `train` or `valid`, by kind and size
children of the module                      an architecture, once by content
``Trainer.test``, ``Trainer.validate``      points of the run that trained that module (`validate_<name>`), else a run
                                            of kind `evaluate` with the hyperparameters; on its training data
                                            split `train`, a series of its own; new data has role `valid`
                                            where it was for ``validate``;
                                            no split where a dataset is another object of the same size, and its values
                                            do not lie in memory (``TensorDataset``)
==========================================  ==========================================================================

How it hooks in.

Nothing is added to the Trainer: programs find callbacks by position (``trainer.callbacks[0]``), count them or
pickle the Trainer, and Lightning's tuner reads ``callbacks[0]`` itself. Instead, two private functions are wrapped that
every callback hook and every value for loggers passes, with or without a logger: ``_call_callback_hooks`` and
``_LoggerConnector.log_metrics`` (held by tests). Other values of ``callback_metrics`` stay there until the next value
(Lightning-AI/pytorch-lightning#7558), so only new ones are recorded. They are told apart by the identity of tensors in
the private ``_callback_metrics``, since the property reduces over processes. ``LearningRateFinder`` and
``BatchSizeFinder`` run trial loops inside a callback hook; these are not recorded as training, and the sanity check is
not an epoch. ``_call_and_handle_interrupt`` turns Ctrl-C into SystemExit; ``on_exception`` is called before that. If a
signal already has a handler, ``_SignalConnector`` does not use it to requeue jobs and restores that handler later, so
the handlers of histhooks step aside while it looks (private, held by a test). If rank 0 is a process that Lightning
starts (``ddp_spawn``, ``ddp_fork``, ``ddp_notebook``), the launcher gets a function that follows the fit there and
sends what it sees through a pipe to the run of the calling process. Of the program's own objects only ``vars`` is read:
``hparams``, for example, is a property that creates what is not there.

Not recorded: ``predict``; checkpoints that are folders. With Fabric the loop is the program's own and is recorded by
the PyTorch integration; files of ``Fabric.save`` and ``load`` are added. Tested with 2.6.
"""

from __future__ import annotations

from histhooks.integrations.kit import Integration, require
from histhooks.integrations.lightning._asking import __version__, asked
from histhooks.integrations.lightning._callback import HistoryCallback
from histhooks.integrations.lightning._seams import arm, disarm

__all__ = ["HistoryCallback", "integration"]


def install() -> None:
    """Record every training from here on."""
    require("lightning", __version__)
    arm()
    asked.is_automatic = True


def uninstall() -> None:
    """Put everything back, by identity."""
    asked.is_automatic = False
    disarm()


integration = Integration("lightning", install, uninstall)
