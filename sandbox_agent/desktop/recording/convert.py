"""A recording in other formats: GIF and WebM. For a thread."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from av.filter import Graph

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

GIF_FPS = 10
GIF_WIDTH = 960
_SAMPLE_FPS = 2  # of the pictures whose colours make a GIF's palette
_VP9 = {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "crf": "34", "b": "0"}


class Cancelled(Exception):
    """The conversion was called off."""


def to_webm(source: Path, target: Path, stop: threading.Event) -> None:
    """VP9 in WebM, at the recording's own size and rate. Raises ``Cancelled``, ``OSError``, ``FFmpegError``."""
    with av.open(str(source)) as read, av.open(str(target), "w", format="webm") as written:
        pictures = read.streams.video[0]
        rate = pictures.average_rate or Fraction(30)
        stream: Any = written.add_stream("libvpx-vp9", rate=rate, options=_VP9)
        stream.width, stream.height = pictures.width, pictures.height
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 2
        for frame in _frames(read, stop):
            frame.pict_type = 0
            written.mux(stream.encode(frame))
        written.mux(stream.encode(None))


def to_gif(source: Path, target: Path, stop: threading.Event) -> None:
    """A GIF of 10 pictures a second, at most 960 pixels wide, with one palette. Raises as `to_webm`."""
    palette = _palette(source, stop)
    with av.open(str(source)) as read, av.open(str(target), "w", format="gif") as written:
        pictures = read.streams.video[0]
        graph = Graph()
        video = graph.add_buffer(template=pictures)
        colors = graph.add_buffer(
            width=palette.width, height=palette.height, format=palette.format, time_base=Fraction(1, GIF_FPS)
        )
        scale = _thin(graph, video, GIF_FPS)
        use = graph.add("paletteuse", "dither=bayer:bayer_scale=4:diff_mode=rectangle")
        sink = graph.add("buffersink")
        scale.link_to(use, 0, 0)
        colors.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        colors.push(palette)
        colors.push(None)
        stream: Any = None
        for frame in _through(graph, video, sink, _frames(read, stop)):
            if stream is None:
                stream = written.add_stream("gif", rate=GIF_FPS)
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "pal8"
            frame.pict_type = 0
            written.mux(stream.encode(frame))
        if stream is not None:
            written.mux(stream.encode(None))


def _palette(source: Path, stop: threading.Event) -> av.VideoFrame:
    """The 256 colours that suit the pictures best; only a count of colours is kept of them."""
    with av.open(str(source)) as read:
        graph = Graph()
        video = graph.add_buffer(template=read.streams.video[0])
        thin = _thin(graph, video, _SAMPLE_FPS)
        generate, sink = graph.add("palettegen", "stats_mode=full"), graph.add("buffersink")
        thin.link_to(generate)
        generate.link_to(sink)
        graph.configure()
        palette: av.VideoFrame = next(_through(graph, video, sink, _frames(read, stop)))
        return palette


def _thin(graph: Graph, video: Any, fps: int) -> Any:
    rate, scale = graph.add("fps", f"{fps}:round=up"), graph.add("scale", f"w='min({GIF_WIDTH},iw)':h=-1")
    video.link_to(rate)
    rate.link_to(scale)
    return scale


def _frames(read: Any, stop: threading.Event) -> Iterator[Any]:
    for frame in read.decode(read.streams.video[0]):
        if stop.is_set():
            raise Cancelled
        yield frame


def _through(graph: Graph, video: Any, sink: Any, frames: Iterator[Any]) -> Iterator[Any]:
    """What comes out of ``graph`` for what goes in."""
    _ = graph  # is kept alive here
    for frame in frames:
        video.push(frame)
        yield from _ready(sink)
    video.push(None)
    yield from _ready(sink)


def _ready(sink: Any) -> Iterator[Any]:
    while True:
        try:
            yield sink.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
