import { describe, expect, it } from 'vitest';
import { BoundaryBoard } from './boundary-board.ts';

const FRAME = 1 / 30;

function note(board: BoundaryBoard, representation: string, actualStart: number, set = 'p1 0') {
  return board.note({ set, representation, nominalStart: 4, actualStart, sampleSeconds: FRAME });
}

describe('segment boundaries of a switching set', () => {
  it('may differ by less than half a picture', () => {
    const board = new BoundaryBoard();
    expect(note(board, 'hd', 4.01)).toBeUndefined();
    expect(note(board, 'sd', 4.01 + FRAME * 0.4)).toBeUndefined();
    expect(note(board, 'hd', 9)).toBeUndefined();
  });

  it('are told when they differ by more, to either side', () => {
    const board = new BoundaryBoard();
    note(board, 'hd', 4);
    expect(note(board, 'sd', 4.1)).toBe('begins 100.0 ms after the segment of hd at the same place');
    expect(note(board, 'ld', 3.9)).toContain('begins -100.0 ms');
  });

  it('are compared within one set only', () => {
    const board = new BoundaryBoard();
    note(board, 'hd', 4);
    expect(note(board, 'sd', 5, 'p2 0')).toBeUndefined();
  });
});
