"""Requests and answers of the serial line, byte for byte."""

import pytest

from datapath.serial import MEANING, WORDS, Answer, Op, Status, answer, checksum, request, rest


def test_the_checksum_is_the_one_of_the_catalogue():
    # The check value of CRC-16/IBM-3740.
    assert checksum(b"123456789") == bytes([0x29, 0xB1])


def test_a_request_byte_by_byte():
    read = request(Op.READ, 0x4003, 2, span=1, tag=9)
    assert read[:-2] == b"R\x09\x01\x02\x03\x40\x00\x00"
    write = request(Op.WRITE, 1, 1, span=0, tag=255, words=[0xA1B2C3D4])
    assert write[:-2] == b"W\xff\x00\x01\x01\x00\x00\x00\xd4\xc3\xb2\xa1"
    assert write[-2:] == checksum(write[:-2])


@pytest.mark.parametrize("count", [0, WORDS + 1])
def test_a_request_has_some_words_and_not_too_many(count):
    with pytest.raises(ValueError, match=f"^a request has 1 to 64 words, not {count}$"):
        request(Op.READ, 0, count, span=0, tag=1)


def test_an_answer_byte_by_byte():
    inside = b"X\x07\x01\x04\x03\x02\x01"
    whole = inside + checksum(inside)
    assert rest(whole[:3], Op.READ) == 6
    assert rest(whole[:3], Op.WRITE) == 2
    assert answer(whole) == Answer(Status.REFUSED, 7, 1, (0x01020304,))


def test_what_is_no_answer_is_refused():
    inside = b"K\x07\x00"
    whole = inside + checksum(inside)
    for bit in range(8 * len(whole)):
        damaged = (int.from_bytes(whole, "big") ^ (1 << bit)).to_bytes(len(whole), "big")
        with pytest.raises(ValueError, match="the checksum of an answer is wrong"):
            answer(damaged)
    strange = b"Q\x07\x00"
    with pytest.raises(ValueError, match="an answer of status 0x51 comes from something else"):
        answer(strange + checksum(strange))


def test_every_status_says_something():
    assert {*MEANING} == {*Status}
