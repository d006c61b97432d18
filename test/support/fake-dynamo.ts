import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { DynamoCredentials } from '../../src/state/dynamo-client.ts';

type Attribute = { readonly S: string } | { readonly N: string };
type Row = Readonly<Record<string, Attribute>>;
type Values = Readonly<Record<string, Attribute>>;

interface Condition {
  readonly ConditionExpression?: string;
  readonly ExpressionAttributeValues?: Values;
}
interface WriteItem {
  readonly Put?: Condition & { readonly TableName: string; readonly Item: Row };
  readonly Delete?: Condition & { readonly TableName: string; readonly Key: Row };
}

/** A refusal: the type of error, and why each part of a transaction failed. */
class Refusal extends Error {
  readonly reasons: readonly string[] | undefined;
  constructor(type: string, reasons?: readonly string[]) {
    super(type);
    this.reasons = reasons;
  }
}

const REGION = 'eu-central-1';
/** Small, so that pages are seen. */
const PAGE_ROWS = 37;
const MAX_TRANSACTION = 100;

/**
 * As much of DynamoDB as the resume store asks for: checks signatures, evaluates the conditions it is sent, writes
 * transactions as one. Whatever it does not know it refuses.
 */
export class FakeDynamo {
  readonly region = REGION;
  readonly table = 'resume';
  readonly credentials: DynamoCredentials;
  /** Names of the operations so far. */
  readonly operations: string[] = [];
  readonly #rows = new Map<string, Row>();
  readonly #server: Server;
  /** How each call is answered instead; for faults. */
  fault: 'none' | 'silence' | 'throttled' | 'nonsense' = 'none';
  #endpoint = '';

  constructor(credentials: DynamoCredentials = { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret/test' }) {
    this.credentials = credentials;
    this.#server = createServer((request, response) => {
      const pieces: Buffer[] = [];
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('end', () => {
        if (this.fault === 'silence') return;
        const { status, body } = this.#answer(request.headers, Buffer.concat(pieces));
        response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' });
        response.end(body);
      });
    });
  }

  get endpoint(): string {
    return this.#endpoint;
  }

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#endpoint = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  holds(text: string): boolean {
    return JSON.stringify([...this.#rows]).includes(text);
  }

  #answer(headers: IncomingHttpHeaders, body: Buffer): { status: number; body: string } {
    if (this.fault === 'nonsense') return { status: 200, body: '<html>' };
    try {
      if (this.fault === 'throttled') throw new Refusal('ProvisionedThroughputExceededException');
      checkSignature(headers, body, this.credentials);
      const operation = String(headers['x-amz-target']).replace('DynamoDB_20120810.', '');
      this.operations.push(operation);
      return {
        status: 200,
        body: JSON.stringify(this.#run(operation, JSON.parse(body.toString()) as never)),
      };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const type = `com.amazonaws.dynamodb.v20120810#${error.message}`;
      const CancellationReasons = error.reasons?.map((Code) => ({ Code }));
      return { status: 400, body: JSON.stringify({ __type: type, CancellationReasons }) };
    }
  }

  #run(operation: string, request: never): unknown {
    switch (operation) {
      case 'TransactGetItems':
        return this.#get(request);
      case 'Query':
        return this.#query(request);
      case 'TransactWriteItems':
        return this.#write(request);
      case 'BatchWriteItem':
        return this.#delete(request);
      default:
        throw new Refusal('UnknownOperationException');
    }
  }

  #get({ TransactItems }: { TransactItems: { Get: { TableName: string; Key: Row } }[] }): unknown {
    return {
      Responses: TransactItems.map(({ Get }) => {
        this.#checkTable(Get.TableName);
        const Item = this.#rows.get(keyOf(Get.Key));
        return Item ? { Item } : {};
      }),
    };
  }

  #query(request: {
    TableName: string;
    ConsistentRead?: boolean;
    KeyConditionExpression: string;
    ExpressionAttributeValues: Values;
    ExclusiveStartKey?: Row;
  }): unknown {
    this.#checkTable(request.TableName);
    if (request.ConsistentRead !== true) throw new Refusal('ValidationException');
    const after = request.ExclusiveStartKey ? keyOf(request.ExclusiveStartKey) : '';
    const found = [...this.#rows]
      .filter(
        ([key, row]) =>
          key > after && holds(request.KeyConditionExpression, row, request.ExpressionAttributeValues),
      )
      .toSorted(([a], [b]) => (a < b ? -1 : 1));
    const page = found.slice(0, PAGE_ROWS);
    const last = page.at(-1)?.[1];
    const LastEvaluatedKey =
      found.length > page.length && last ? { pk: last['pk'], sk: last['sk'] } : undefined;
    return { Items: page.map(([, row]) => row), LastEvaluatedKey };
  }

  #write({ TransactItems }: { TransactItems: WriteItem[] }): unknown {
    if (TransactItems.length > MAX_TRANSACTION) throw new Refusal('ValidationException');
    const writes = TransactItems.map(({ Put, Delete }) => {
      const target = Put ?? Delete;
      if (!target) throw new Refusal('ValidationException');
      this.#checkTable(target.TableName);
      return { target, key: keyOf(Put ? Put.Item : (Delete?.Key ?? {})), item: Put?.Item };
    });
    if (new Set(writes.map(({ key }) => key)).size < writes.length) throw new Refusal('ValidationException');
    const reasons = writes.map(({ target, key }) => {
      const { ConditionExpression, ExpressionAttributeValues = {} } = target;
      const isFine =
        ConditionExpression === undefined ||
        holds(ConditionExpression, this.#rows.get(key) ?? {}, ExpressionAttributeValues);
      return isFine ? 'None' : 'ConditionalCheckFailed';
    });
    if (reasons.some((reason) => reason !== 'None'))
      throw new Refusal('TransactionCanceledException', reasons);
    for (const { key, item } of writes) {
      if (item) this.#rows.set(key, item);
      else this.#rows.delete(key);
    }
    return {};
  }

  #delete({ RequestItems }: { RequestItems: Record<string, { DeleteRequest: { Key: Row } }[]> }): unknown {
    const requests = RequestItems[this.table] ?? [];
    if (requests.length === 0 || requests.length > 25) throw new Refusal('ValidationException');
    // As DynamoDB may, it leaves the last one undone.
    const [last, ...others] = requests.toReversed();
    const done = last && others.length > 5 ? others : requests;
    for (const { DeleteRequest } of done) this.#rows.delete(keyOf(DeleteRequest.Key));
    return { UnprocessedItems: done.length < requests.length ? { [this.table]: [last] } : {} };
  }

  #checkTable(table: string): void {
    if (table !== this.table) throw new Refusal('ResourceNotFoundException');
  }
}

function keyOf({ pk, sk }: Row): string {
  if (!pk || !sk || !('S' in pk) || !('S' in sk)) throw new Refusal('ValidationException');
  return `${pk.S}\u0000${sk.S}`;
}

/** Evaluates a condition: OR of AND of comparisons, functions and brackets. */
function holds(expression: string, row: Row, values: Values): boolean {
  const tokens = expression.match(/\(|\)|,|<=|>=|<>|=|<|>|:?[A-Za-z_]+/g) ?? [];
  let at = 0;
  const take = (expected?: string): string => {
    const token = tokens[at++];
    if (token === undefined || (expected !== undefined && token !== expected))
      throw new Refusal('ValidationException');
    return token;
  };
  const valueOf = (token: string): Attribute | undefined =>
    token.startsWith(':') ? values[token] : row[token];
  const term = (): boolean => {
    const first = take();
    if (first === '(') {
      const inner = either();
      take(')');
      return inner;
    }
    if (first === 'attribute_not_exists') {
      take('(');
      const name = take();
      take(')');
      return row[name] === undefined;
    }
    if (first === 'begins_with') {
      take('(');
      const name = take();
      take(',');
      const [text, begin] = [row[name], valueOf(take())];
      take(')');
      return !!text && !!begin && 'S' in text && 'S' in begin && text.S.startsWith(begin.S);
    }
    const operator = take();
    return compares(valueOf(first), operator, valueOf(take()));
  };
  const both = (): boolean => {
    let result = term();
    while (tokens[at] === 'AND') {
      at += 1;
      result = term() && result;
    }
    return result;
  };
  const either = (): boolean => {
    let result = both();
    while (tokens[at] === 'OR') {
      at += 1;
      result = both() || result;
    }
    return result;
  };
  const result = either();
  if (at !== tokens.length) throw new Refusal('ValidationException');
  return result;
}

function compares(a: Attribute | undefined, operator: string, b: Attribute | undefined): boolean {
  if (!a || !b) return false;
  if ('S' in a || 'S' in b) return operator === '=' && 'S' in a && 'S' in b && a.S === b.S;
  const [left, right] = [Number(a.N), Number(b.N)];
  switch (operator) {
    case '=':
      return left === right;
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    default:
      throw new Refusal('ValidationException');
  }
}

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/dynamodb\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/;

/** By the AWS Signature Version 4 itself, and nothing of the client's code. */
function checkSignature(headers: IncomingHttpHeaders, body: Buffer, known: DynamoCredentials): void {
  const match = AUTHORIZATION.exec(headers.authorization ?? '');
  if (!match) throw new Refusal('MissingAuthenticationTokenException');
  const [, accessKeyId = '', day = '', region = '', signedNames = '', signature = ''] = match;
  if (accessKeyId !== known.accessKeyId || region !== REGION)
    throw new Refusal('UnrecognizedClientException');
  if (headers['x-amz-security-token'] !== known.sessionToken)
    throw new Refusal('UnrecognizedClientException');
  const time = String(headers['x-amz-date']);
  const names = signedNames.split(';');
  const mustSign = ['host', ...Object.keys(headers).filter((name) => name.startsWith('x-amz-'))];
  if (!time.startsWith(day) || mustSign.some((name) => !names.includes(name))) {
    throw new Refusal('IncompleteSignatureException');
  }
  const canonical = [
    'POST',
    '/',
    '',
    ...names.map((name) => `${name}:${String(headers[name]).trim().replace(/ +/g, ' ')}`),
    '',
    signedNames,
    sha256(body),
  ].join('\n');
  const scope = `${day}/${region}/dynamodb/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(Buffer.from(canonical))].join('\n');
  const key = [day, region, 'dynamodb', 'aws4_request'].reduce(
    (secret: Buffer, part) => hmac(secret, part),
    Buffer.from(`AWS4${known.secretAccessKey}`),
  );
  if (!timingSafeEqual(hmac(key, toSign), Buffer.from(signature, 'hex'))) {
    throw new Refusal('InvalidSignatureException');
  }
}

function sha256(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
