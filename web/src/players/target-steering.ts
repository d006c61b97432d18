import type { LatencyBounds } from '../latency-controller.ts';
import { LatencyKeeper } from '../latency-keeper.ts';
import { RungKeeper } from '../rung-keeper.ts';
import type { Player } from './player.ts';

/** What steering does to a player that has a catch-up of its own and holds the delay that it is told. */
export interface TargetActuator {
  readonly setTarget: (delayMs: number) => void;
  /** Delay behind the live edge as the player reckons it for its own catch-up. */
  readonly levelMs: () => number | undefined;
  /** Goes to a rendition; when it is urgent, at once. */
  readonly choose: (id: string, urgent: boolean) => void;
  /** The segment of the picture that was fetched last. */
  readonly sampleUrl: () => string | undefined;
}

/** What holds a player near the edge, and on the best rendition that its link carries. */
export interface Steering {
  readonly latency: LatencyKeeper;
  readonly rungs: RungKeeper;
}

/** Steers a player from now on; whoever calls stops both keepers. */
export function steerByTarget(
  video: HTMLVideoElement,
  bounds: LatencyBounds,
  player: Pick<Player, 'renditions' | 'loadingRendition' | 'seekToLive'>,
  actuator: TargetActuator,
): Steering {
  const latency = new LatencyKeeper(video, bounds, {
    by: 'target',
    setTarget: actuator.setTarget,
    levelMs: actuator.levelMs,
    seekToLive: () => player.seekToLive(),
  });
  const rungs = new RungKeeper(video, {
    rungs: () => player.renditions(),
    loading: () => player.loadingRendition(),
    choose: actuator.choose,
    levelMs: actuator.levelMs,
    sampleUrl: actuator.sampleUrl,
  });
  actuator.setTarget(latency.report.targetMs);
  latency.start();
  rungs.start();
  return { latency, rungs };
}
