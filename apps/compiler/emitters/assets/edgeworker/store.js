// The EdgeKV item of a service. One sub-request per call; Akamai caches it close by and drops it when it is rewritten.
// Nothing is remembered here, so that a grant that ends is gone as soon as the item says so.
import { httpRequest } from "http-request";
import { policy } from "./policy.js";

const { namespace, group, reference, value, timeout, format } = policy.store;
// The store knows a token by its reference; tokens of the older kind are sent themselves.
const TOKEN = value === undefined ? { "X-Akamai-EdgeDB-Auth-Ref": reference } : { "X-Akamai-EdgeDB-Auth": value };
const ITEMS = `https://edgekv.akamai-edge-svcs.net/api/v1/namespaces/${namespace}/groups/${group}/items/`;

export async function readItem(service, key) {
  const answer = await httpRequest(ITEMS + key, {
    method: "GET",
    headers: TOKEN,
    timeout,
  });
  if (answer.status !== 200) throw new Error(`the policy of ${service} answered ${answer.status}`);
  const item = JSON.parse(await answer.text());
  if (item.v !== format || item.svc !== service) throw new Error(`the policy of ${service} is not its own`);
  return item;
}
