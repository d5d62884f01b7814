// One of the scenarios of this folder with k6; run.sh starts it. Requests are sent when they are due, whether those
// before them have been answered or not, and asks for the same paths in turn as the generator that is built in does.
import http from 'k6/http';
import { check } from 'k6';
import exec from 'k6/execution';

const lines = open(`./${__ENV.SCENARIO || 'ramp'}.scenario`)
  .split('\n')
  .map((line) => line.split('#')[0].trim().split(/\s+/))
  .filter((words) => words[0] !== '');
const figure = (name) => {
  const line = lines.find((words) => words[0] === name);
  return line === undefined ? undefined : Number(line[1]);
};
const paths = open('./paths').split('\n').filter((path) => path !== '');
const target = __ENV.TARGET || 'http://127.0.0.1:8080';
const faster = Number(__ENV.FASTER || 1);

const thresholds = {};
if (figure('p95_ms') !== undefined) thresholds.http_req_duration = [`p(95)<${figure('p95_ms')}`];
if (figure('errors_percent') !== undefined) thresholds.http_req_failed = [`rate<${figure('errors_percent') / 100}`];
// A request that was due and not sent has not been fast.
thresholds.dropped_iterations = ['count<1'];

export const options = {
  thresholds,
  discardResponseBodies: true,
  scenarios: {
    open: {
      executor: 'ramping-arrival-rate',
      startRate: Math.round(figure('start') || 0),
      timeUnit: '1s',
      // k6 takes whole milliseconds.
      stages: lines
        .filter((words) => words[0] === 'stage')
        .map((words) => ({ duration: `${Math.round((Number(words[1]) * 1000) / faster)}ms`, target: Number(words[2]) })),
      preAllocatedVUs: 64,
      maxVUs: 1000,
    },
  },
};

export default function () {
  const path = paths[exec.scenario.iterationInTest % paths.length];
  const answer = http.get(`${target}${path}`, { timeout: '10s', tags: { name: path } });
  check(answer, { 'status is below 400': (r) => r.status > 0 && r.status < 400 });
}
