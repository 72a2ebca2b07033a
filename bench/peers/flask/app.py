"""The subscribe function and the list of eligible subscriptions, the straightforward way in Flask and SQLAlchemy.

The same rules on the same tables: `subscribe` takes the same advisory lock, so a customer subscribes once per club
however many requests race, and writes the same event into the outbox.
"""
import json
import os
import uuid
from datetime import datetime

from flask import Flask, jsonify, request
from sqlalchemy import (
    BigInteger, Column, DateTime, ForeignKey, Identity, Integer, String, Text, create_engine, func, select)
from sqlalchemy.orm import declarative_base, scoped_session, sessionmaker

app = Flask(__name__)
session = scoped_session(sessionmaker(create_engine(os.environ["DATABASE_URL"])))
Base = declarative_base()
ACTIVE, CLOSED = 1, 2


class Club(Base):
    __tablename__ = "club"
    id = Column(Integer, primary_key=True)


class ClubStatusHistory(Base):
    __tablename__ = "club_status_history"
    id = Column(String(36), primary_key=True)
    club_id = Column(ForeignKey("club.id"))
    club_status_id = Column(Integer)
    effect_date = Column(DateTime)
    create_date = Column(DateTime)


class Subscription(Base):
    __tablename__ = "subscription"
    id = Column(String(36), primary_key=True)
    club_id = Column(ForeignKey("club.id"))
    customer_store_id = Column(String(36))
    create_date = Column(DateTime)


class SubscriptionStatusHistory(Base):
    __tablename__ = "subscription_status_history"
    id = Column(String(36), primary_key=True)
    subscription_id = Column(ForeignKey("subscription.id"))
    status_id = Column(Integer)
    effect_date = Column(DateTime)
    create_date = Column(DateTime)
    details = Column(String(256))


class Outbox(Base):
    __tablename__ = "outbox"
    position = Column(BigInteger, Identity(always=True), primary_key=True)
    type = Column(String(64))
    subject = Column(String(64))
    sequence = Column(BigInteger)
    data = Column(Text)
    correlation_id = Column(String(128))
    causation_id = Column(String(128))


def latest(history, column, *conditions):
    """The status that a history says now."""
    return (
        select(column)
        .where(history.effect_date <= datetime.utcnow(), *conditions)
        .order_by(history.effect_date.desc(), history.create_date.desc().nulls_last(), history.id.desc())
        .limit(1))


def club_status(club):
    return latest(ClubStatusHistory, ClubStatusHistory.club_status_id, ClubStatusHistory.club_id == club)


@app.teardown_appcontext
def close_session(_):
    session.remove()


def problem(status, kind, **more):
    return jsonify(type="/problems/" + kind, status=status, **more), status


@app.post("/club/<int:club_id>/subscribe/")
def subscribe(club_id):
    body = request.get_json()
    customer = body.get("customer_id") if isinstance(body, dict) else None
    if not isinstance(customer, str) or not 1 <= len(customer) <= 36:
        return problem(400, "bad-request")
    if session.get(Club, club_id) is None:
        return problem(404, "club-not-found")
    if session.scalar(club_status(club_id)) != ACTIVE:
        return problem(409, "club-not-active")
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"subscribe {club_id} {customer}", 0))))
    existing = session.scalar(
        select(Subscription.id).where(Subscription.club_id == club_id, Subscription.customer_store_id == customer)
        .order_by(Subscription.create_date, Subscription.id).limit(1))
    if existing:
        return problem(409, "already-subscribed", subscription_id=existing)
    now = datetime.utcnow()
    identifier = str(uuid.uuid4())
    session.add(Subscription(id=identifier, club_id=club_id, customer_store_id=customer, create_date=now))
    session.flush()
    session.add(SubscriptionStatusHistory(
        id=str(uuid.uuid4()), subscription_id=identifier, status_id=ACTIVE, effect_date=now, create_date=now,
        details="Subscribed"))
    cause = request.headers["X-Request-Id"]
    session.add(Outbox(
        type="subscription.created", subject=identifier, sequence=1, correlation_id=cause, causation_id=cause,
        data=json.dumps({
            "subscription": {"id": identifier, "club_id": club_id, "customer_id": customer}, "status_id": ACTIVE,
            "effect_date": now.isoformat() + "Z"})))
    session.commit()
    return jsonify(id=identifier, club_id=club_id, customer_id=customer, status_id=ACTIVE,
                   create_date=now.isoformat() + "Z")


@app.get("/subscription/eligible")
def eligible():
    history = SubscriptionStatusHistory
    clubs = select(Club.id).where(club_status(Club.id).scalar_subquery().in_([ACTIVE, CLOSED]))
    status = latest(history, history.status_id, history.subscription_id == Subscription.id).scalar_subquery()
    ids = session.scalars(select(Subscription.id).where(Subscription.club_id.in_(clubs), status == ACTIVE))
    return jsonify(ids.all())
