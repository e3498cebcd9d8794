"""The settings of a recipe that belong to the core: data preparation, training, optimiser, EMA. Torch-free."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from facekit.interfaces import Options

NETWORK_NAME = r"[a-z][a-z0-9_]*"
"""The form of the names that recipes give networks and players."""


class ReferenceSettings(Options):
    """How the reference photo is drawn from the training photo, so that a model cannot copy it pixel by pixel."""

    crop: float = Field(1.0, gt=0.2, le=1.0)
    """Smallest side of a random crop of the reference, as a share of the picture; 1 crops nothing."""
    mirror: bool = False
    """Mirror the reference at random, apart from the photo itself."""
    hide_regions: float = Field(0.0, ge=0, lt=1)
    """Chance of each region of the reference, but for the three largest, to be filled with what surrounds it.
    So models learn to generate what a mask asks for and a reference does not show: teeth, where its mouth is closed."""
    warp: float = Field(0.0, ge=0, le=0.2)
    """How far parts of the reference and its mask move at most, as a share of the side, smoothly and at random. So
    models learn to bring what a reference shows into another geometry, as an edited mask asks for."""


class DataSettings(Options):
    """What the core does with a dataset; these keys stand beside the dataset's own options under ``data:``."""

    size: int = Field(128, ge=16, le=2048)
    """Side of the images in pixels: the resolution."""
    mirror: bool = True
    """Augmentation: mirror training photos at random; left and right classes change places."""
    reference: ReferenceSettings = ReferenceSettings()
    """How the reference of a training photo is drawn."""
    cache: str | None = None
    """Folder of packed caches; by default ``FACEKIT_CACHE`` or the user's cache folder."""
    workers: int = Field(1, ge=0, le=64)
    """Threads of the data loader, which prepare batches ahead; 0 prepares them in the training loop. The result is the
    same."""


class NetworkSettings(Options):
    """What the core does with a network; these keys stand beside the network's own options under ``model:``."""

    frozen: bool = False
    """Keep its weights as they are: it computes in evaluation mode, is neither optimised nor averaged, and is written
    into the run folder once, not into every checkpoint."""
    weights: str | None = None
    """Weights that it starts from, or keeps when it is frozen: a run folder, or a safetensors file."""
    source: str | None = None
    """The part of these weights to take; by default the network of the same name of a run, all of a file."""

    @model_validator(mode="after")
    def _source_of_weights(self) -> NetworkSettings:
        if self.source is not None and self.weights is None:
            raise ValueError("source names a part of the weights, and there are no weights")
        return self


class WeightRamp(Options):
    """A weight that changes over the run: evenly from one number to another, then it stays.

    It is false, as the number 0 is, where it is 0 all the time.
    """

    start: float = Field(alias="from", ge=0)
    """The weight in the first step."""
    to: float = Field(ge=0)
    """The weight from ``until`` on."""
    until: float = Field(1.0, gt=0, le=1)
    """Where ``to`` is reached, as a share of all steps."""

    def __bool__(self) -> bool:
        """Return whether it is ever above 0."""
        return bool(self.start or self.to)


def _number_or_ramp(given: object) -> str:
    return "ramp" if isinstance(given, dict | WeightRamp) else "number"


Weight = Annotated[
    Annotated[float, Field(ge=0), Tag("number")] | Annotated[WeightRamp, Tag("ramp")], Discriminator(_number_or_ramp)
]
"""The weight of a loss; what is wrong with one is said of what was meant."""


class LossSettings(Options):
    """What the core does with a loss; these keys stand beside the loss's own options."""

    weight: Weight = 1.0
    """Factor on the loss's value: a number, or ``{from: 1, to: 0, until: 0.5}`` for one that changes over the run."""
    every: int = Field(1, ge=1)
    """Compute it at every n-th step only, counted n times there (lazy regularisation): over the run it weighs as much
    as if it were computed at every step."""
    label: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]+$")
    """Its name in logs; by default the component's name."""


class OptimiserCore(Options):
    """What the core does with an optimiser; these keys stand beside the optimiser's own options."""

    lr: float = Field(2e-4, gt=0)
    """Learning rate."""
    of: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Other options for a player, by its name, its ``lr`` among them: ``{discriminator: {lr: 4.0e-4}}``. What is left
    out is as for all."""
    lr_scale: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Factor on the learning rate of a network, or of a part of one, e.g. ``{style_encoder: 5}`` (TTUR) or
    ``{generator.mapping: 0.01}``. Where several fit a weight, the longest name counts."""


class _Chosen(Options):
    """A component by name, with its options beside the core's settings: the component itself has checked them."""

    model_config = ConfigDict(extra="allow")

    use: str
    """Which component, by its short name or its whole id."""


class OptimiserSettings(OptimiserCore, _Chosen):
    """The optimiser of all players: ``adam``, ``adamw``, one of ``torch.optim``, or a plugin's, with its options."""

    use: str = "adam"
    """Which. ``adam`` and ``adamw`` are fused where the device has it."""


class ScheduleCore(Options):
    """What the core does with a schedule; these keys stand beside the schedule's own options."""

    warmup_steps: int = Field(0, ge=0)
    """Steps of linear warm-up at the start; the schedule's factor is multiplied by it."""
    of: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Another schedule for a player, by its name: ``{discriminator: {use: constant}}``."""


class ScheduleSettings(ScheduleCore, _Chosen):
    """The learning rate over the run: a schedule of facekit's or of a plugin, with its options."""

    use: str = "linear_decay"
    """Which. ``linear_decay`` holds the rate, then lowers it to zero at the last step."""


class AugmentCore(Options):
    """What the core does with an augmentation; these keys stand beside the augmentation's own options."""

    of: tuple[str, ...] = ()
    """The discriminators that it stands in front of, by their names in ``model:``; by default all of them."""


class AugmentSettings(AugmentCore, _Chosen):
    """What discriminators are shown in training is changed at random: an augmentation of a plugin, with its options."""


class EmaSettings(Options):
    """Exponential moving average of the weights that generate: by ``half_life``, or by ``decay``."""

    half_life: float | None = Field(None, gt=0)
    """Images after which a weight counts half in the average: the same average whatever the batch."""
    ramp_up: float | None = Field(None, gt=0)
    """The half-life is at most this share of the images seen, so that short runs are not stuck at their first weights;
    null does not limit it. 0.05 where ``half_life`` is given and it is not."""
    decay: float | None = Field(None, ge=0, lt=1)
    """Share of the average that is kept each step; 0 switches the average off. 0.999 where there is no
    ``half_life``."""
    warmup: bool | None = None
    """Use ``min(decay, (1 + step) / (10 + step))``, so that short runs are not stuck at their first weights. On where
    ``decay`` counts."""

    @property
    def on(self) -> bool:
        """Whether there is an average."""
        return self.half_life is not None or bool(self.decay)

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        if given.get("half_life") is not None:
            return {"ramp_up": 0.05, **given}
        stated = {key: value for key, value in given.items() if key not in ("decay", "warmup") or value is not None}
        return {"decay": 0.999, "warmup": True, **stated}

    @field_validator("ramp_up", "decay", "warmup")
    @classmethod
    def _one_of_two(cls, value: float | None, info: ValidationInfo) -> float | None:
        by_half_life = info.data.get("half_life") is not None
        if value is not None and "half_life" in info.data and by_half_life != (info.field_name == "ramp_up"):
            if by_half_life:
                raise ValueError(f"with half_life, {info.field_name} means nothing: leave one of the two out")
            raise ValueError("ramp_up limits a half_life, and there is none: give one, or use warmup")
        return value


class KeepSettings(Options):
    """Which checkpoints stay on disk."""

    last: int = Field(2, ge=2)
    """The newest ones; at least two, so that a damaged one has another before it."""
    best: str | None = None
    """A metric (``name`` or ``name/part``) whose best checkpoint is kept as well; measured at ``evaluate_every``."""


class InitialiseSettings(Options):
    """Weights a part of the model starts from, in place of its own initialisation."""

    part: str
    """A network, or one of its submodules: ``generator``, ``generator.global_generator``."""
    weights: str
    """A run folder, or a safetensors file."""
    source: str | None = None
    """The part of the file's weights to take, e.g. ``generator``; by default ``part`` for runs, all for files."""


_SECONDS = {"s": 1, "min": 60, "h": 3600}


def seconds_of(text: str) -> float:
    """Return the seconds of ``30 s``, ``10 min`` or ``2 h``. Raises ValueError for any other text."""
    number, _, unit = text.strip().partition(" ")
    if not (number.isdecimal() and int(number) and unit.strip() in _SECONDS):
        raise ValueError(f"{text!r} is neither a number of steps nor a time: write 500, `30 s`, `10 min` or `2 h`")
    return int(number) * _SECONDS[unit.strip()]


def _is_time(text: str) -> str:
    seconds_of(text)
    return text


StepsOrTime = Annotated[
    Annotated[int, Field(ge=1), Tag("steps")] | Annotated[str, AfterValidator(_is_time), Tag("time")],
    Discriminator(lambda given: "time" if isinstance(given, str) else "steps"),
]
"""A number of steps, or a time: ``10 min``."""


class FreezeSettings(Options):
    """A part of the model that is not trained at first (coarse-to-fine schedules)."""

    part: str
    """A network, or one of its submodules: ``generator.global_generator``."""
    until: float = Field(1.0, gt=0, le=1)
    """Share of all steps after which it is trained too; 1 never trains it."""


class TrainSettings(Options):
    """How the model is trained. Exactly one of ``steps`` and ``epochs`` holds.

    The recipe reader keeps the one given last.
    """

    steps: int | None = Field(None, ge=1)
    """Training steps; in each, every player updates its networks."""
    epochs: float | None = Field(None, gt=0)
    """Passes over the training split."""
    batch: int = Field(8, ge=1, le=65_536)
    """Batch size: photos a step (a micro-batch when ``accumulate`` is above 1)."""
    accumulate: int = Field(1, ge=1, le=65_536)
    """Micro-batches whose gradients are averaged for one update."""
    seed: int = Field(0, ge=0)
    """Seed of everything random in the run."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 is autocast; weights, penalties and losses stay in fp32. ``auto`` is bf16 where the device multiplies faster
    in it (CUDA, processors with AMX or the like), else fp32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` takes CUDA where there is one."""
    channels_last: Literal["auto", True, False] = "auto"
    """Memory layout of images and convolutions. ``auto``: on a processor, where fast layers need it; not on CUDA, where
    reflection and instance norm would copy there and back."""
    compile: Literal["auto", True, False] = "auto"
    """``torch.compile`` the networks; the first steps then take minutes. ``auto`` does so on CUDA in long runs of large
    batches, and tells what it chose."""
    cuda_graphs: Literal["auto", True, False] = "auto"
    """Record the kernels of each network once as a CUDA graph and replay them, so that small batches do not wait for
    the processor to start every kernel. With ``compile: true``, those of the compiled networks. ``auto`` does so on
    CUDA where the run is not short and nothing is compiled, and tells what it chose."""
    deterministic: bool = False
    """On CUDA, compute in the same order each time, so that the same recipe and seed give the same weights; without it
    the fastest convolutions are searched for and taken. On the CPU runs are the same either way."""
    activation_checkpointing: bool = False
    """Compute parts of the networks again in the backward pass rather than keep them: less memory, more time, the same
    result."""
    turns: dict[str, Annotated[int, Field(ge=1, le=1000)]] = Field(default_factory=dict)
    """Updates of a player a step, where it is not one: ``{discriminator: 5}``. Each of them sees faces of its own."""
    optimiser: OptimiserSettings = OptimiserSettings()
    """How players' weights are updated; Adam by default."""
    schedule: ScheduleSettings = ScheduleSettings()
    """The learning rate over the run; linear decay over the second half by default."""
    augment: AugmentSettings | None = None
    """What stands in front of the discriminators, ``{use: ada, target: 0.6}``; none by default."""
    ema: EmaSettings = EmaSettings()
    """The exponential moving average of the weights that generate; on by default."""
    gradient_clip: float | None = Field(None, gt=0)
    """Gradient clipping: the largest norm of a player's gradient; longer ones are scaled down."""
    gradient_averaging: Literal["fp32", "bf16"] = "fp32"
    """The number format in which several processes send each other gradients; bf16 is half as many bytes, rounded to 8
    bits."""
    initialise: tuple[InitialiseSettings, ...] = ()
    """Weights that parts of the model start from; read once, when the run starts."""
    freeze: tuple[FreezeSettings, ...] = ()
    """Parts of the model that are not trained at first."""
    log_every: int = Field(20, ge=1)
    """Steps between lines of ``metrics.jsonl``."""
    loss_shares: int | None = Field(20, ge=1)
    """Steps between readings of how much each loss is of its player's gradient at the last layer; null takes none."""
    checkpoint_every: StepsOrTime = 500
    """Steps between checkpoints, or the time (``30 s``, ``10 min``, ``2 h``); the last step and an interruption write
    one as well. Steps go on while one is written."""
    sample_every: int = Field(500, ge=1)
    """Steps between sample grids."""
    samples: int = Field(8, ge=1, le=64)
    """Fixed validation faces in a sample grid."""
    evaluate_every: int | None = Field(None, ge=1)
    """Steps between measurements on the validation split; always measured on the test split at the end."""
    keep: KeepSettings = KeepSettings()
    """Which checkpoints stay."""

    @model_validator(mode="after")
    def _one_length(self) -> TrainSettings:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give train.steps or train.epochs, one of the two")
        if self.compile is True and self.activation_checkpointing:
            raise ValueError(
                "train.compile and train.activation_checkpointing cannot be on together: compiled networks decide by "
                "themselves what they compute again"
            )
        if self.cuda_graphs is True and self.activation_checkpointing:
            raise ValueError(
                "train.cuda_graphs and train.activation_checkpointing cannot be on together: a graph keeps the memory "
                "that its kernels were recorded with"
            )
        return self
