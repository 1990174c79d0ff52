"""One MP4 file of H.264 while it is written: pictures come as the screen changes, they go out at a constant rate.

While it grows the file is a fragmented MP4 (ISO/IEC 14496-12, 8.8), so that it can be played as far as it got
whatever ends the server. In the end it is made a plain one, which players can seek in. All here is for a thread.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from sandbox_agent.desktop.video import video_frame

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox_agent.desktop.deeds import Deed
    from sandbox_agent.desktop.frames import Frame
    from sandbox_agent.desktop.recording.marks import Marks

FRAGMENT_SECONDS = 1
"""What a crash takes at most, beside what was not encoded yet."""
_MOST_BEHIND = 4  # s of pictures that are made up for; more are left out, and the one before stands for longer
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
_CODEC = {"preset": "superfast", "tune": "zerolatency", "crf": "23"}


class Movie:
    """Writes ``path``, which begins with ``first``; times are monotonic seconds.

    Raises ``OSError`` or ``av.error.FFmpegError`` where the file cannot be written.
    """

    def __init__(self, path: Path, first: Frame, *, fps: int, marks: Marks | None = None) -> None:
        self.path = path
        self.start = first.time
        self._fps = fps
        self._time_base = Fraction(1, fps)
        self._marks = marks
        self._frame = first
        self._picture: av.VideoFrame | None = None
        self._drawn: tuple[Deed, ...] = ()
        self._next = 0
        self._size = (first.size[0] & ~1, first.size[1] & ~1)  # chroma is half as wide and high
        self._reformatter = VideoReformatter()
        self._output = av.open(str(path), "w", format="mp4", options=_FRAGMENTED)
        self._stream = self._open_stream()

    def _open_stream(self) -> Any:
        stream: Any = self._output.add_stream("libx264", rate=self._fps, options=_CODEC)
        stream.width, stream.height = self._size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.gop_size = self._fps * FRAGMENT_SECONDS
        context.time_base = self._time_base
        context.thread_count = 1
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
        context.color_range = ColorRange.MPEG
        return stream

    def show(self, frame: Frame) -> None:
        """From its time on, the screen looks like this."""
        self.until(frame.time)
        self._frame, self._picture = frame, None

    def until(self, time: float) -> None:
        """Write the pictures up to ``time``."""
        self._fill(int((time - self.start) * self._fps))

    def close(self, time: float) -> None:
        """End at ``time``, and make the file a plain MP4."""
        try:
            self._fill(max(1, round((time - self.start) * self._fps)))
            self._output.mux(self._stream.encode(None))
        finally:
            self._output.close()
        plain = self.path.with_suffix(".plain")
        try:
            _remux(self.path, plain)
            plain.replace(self.path)
        finally:
            plain.unlink(missing_ok=True)

    def _fill(self, end: int) -> None:
        if end - self._next > _MOST_BEHIND * self._fps:
            self._next = end - 1
        while self._next < end:
            picture = self._current()
            picture.pts = self._next
            picture.time_base = self._time_base
            self._output.mux(self._stream.encode(picture))
            self._next += 1

    def _current(self) -> av.VideoFrame:
        """The next picture; the one before where it looks the same."""
        begin = self.start + self._next / self._fps
        deeds = self._marks.shown(begin, begin + 1 / self._fps) if self._marks else ()
        if self._picture is None or deeds != self._drawn:
            source = video_frame(self._frame, self._size, cursor=True)
            if deeds and self._marks:
                self._marks.draw(source, deeds)
            self._drawn = deeds
            self._picture = self._reformatter.reformat(
                source,
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
                interpolation=Interpolation.POINT,
            )
        return self._picture


def _remux(source: Path, target: Path) -> None:
    """The same pictures with an index in front, in place of one for each fragment."""
    with av.open(str(source)) as read, av.open(str(target), "w", format="mp4", options={"movflags": "faststart"}) as to:
        stream = read.streams.video[0]
        copy = to.add_stream_from_template(stream)
        for packet in read.demux(stream):
            if packet.dts is not None:  # the last one is empty and ends the stream
                packet.stream = copy
                to.mux(packet)
